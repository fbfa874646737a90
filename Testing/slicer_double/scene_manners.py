"""What the application does on its own to a scene, and VTK's errors and warnings, which nobody reads in a test."""

from contextlib import contextmanager

import vtk


def keep_hierarchy(scene):
    """Make and remove subject hierarchy items with their nodes, as qSlicerSubjectHierarchyPluginLogic does.

    From here on VTK's errors fail the test, too: the application logs them. Items are made for nodes of the kinds that
    a plugin claims and that are not hidden; they go when their node is about to be removed.
    Returns a function that ends it, to be called before the scene goes.
    """
    import slicer

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller, event, node=None):
        # Asking for the hierarchy resolves it, which during an import meets items whose nodes are not there yet.
        if node is None or scene.IsImporting() or scene.IsClosing() or node.GetHideFromEditors():
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy is None:
            return
        kinds = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLMarkupsNode", "vtkMRMLModelNode",
                 "vtkMRMLTransformNode", "vtkMRMLTableNode", "vtkMRMLTextNode")  # fmt: skip
        if any(node.IsA(kind) for kind in kinds) and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def about_to_be_removed(caller, event, node=None):
        if node is None or scene.IsImporting() or scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy is None:
            return
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    hear_vtk()
    tags = [
        scene.AddObserver(scene.NodeAddedEvent, added),
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, about_to_be_removed),
    ]
    return lambda: [scene.RemoveObserver(tag) for tag in tags]


class Complaints:
    """What VTK calls an error or a warning, in `told`; without those that hold one of the texts in `allowed`."""

    def __init__(self, allowed=()):
        self.told, self._allowed, self._heard = [], allowed, []

    def listen(self):
        """Hear VTK's present output window: a headless scene takes another, and turns warnings off."""
        vtk.vtkObject.GlobalWarningDisplayOn()
        window = vtk.vtkOutputWindow.GetInstance()
        if all(window is not heard for heard, _tags in self._heard):
            tags = [window.AddObserver(event, self._keep) for event in ("ErrorEvent", "WarningEvent")]
            self._heard.append((window, tags))

    def close(self):
        for window, tags in self._heard:
            for tag in tags:
                window.RemoveObserver(tag)

    @vtk.calldata_type(vtk.VTK_STRING)
    def _keep(self, caller, event, text=""):
        if not any(part in text for part in self._allowed):
            self.told.append(text.strip())


complaints = None  # those of the test that runs


def hear_vtk():
    """Let VTK's errors and warnings fail the test that runs, although a headless scene was made."""
    if complaints is not None:
        complaints.listen()


@contextmanager
def no_vtk_complaints(allowed=()):
    """AssertionError at the end when VTK had an error or a warning that holds none of the allowed texts."""
    global complaints
    before, complaints = complaints, Complaints(allowed)
    heard = complaints
    try:
        heard.listen()
        yield heard.told
    finally:
        heard.close()
        complaints = before
    assert not heard.told, "VTK complained:\n" + "\n".join(heard.told)
