"""What the slices and the 3D view show of a result: layers, boxes, layout, and jumps to a place. No Qt."""

import math

import slicer

READING_LAYOUT = 7103  # ours; Slicer's own layouts have numbers below 1000
# Axial large on the left; sagittal, coronal and 3D beside it.
READING_LAYOUT_XML = """
<layout type="horizontal" split="true">
 <item splitSize="600"><view class="vtkMRMLSliceNode" singletontag="Red">
  <property name="orientation" action="default">Axial</property>
  <property name="viewlabel" action="default">R</property>
  <property name="viewcolor" action="default">#F34A33</property>
 </view></item>
 <item splitSize="400"><layout type="vertical" split="true">
  <item><view class="vtkMRMLSliceNode" singletontag="Yellow">
   <property name="orientation" action="default">Sagittal</property>
   <property name="viewlabel" action="default">Y</property>
   <property name="viewcolor" action="default">#EDD54C</property>
  </view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Green">
   <property name="orientation" action="default">Coronal</property>
   <property name="viewlabel" action="default">G</property>
   <property name="viewcolor" action="default">#6EB04B</property>
  </view></item>
  <item><view class="vtkMRMLViewNode" singletontag="1">
   <property name="viewlabel" action="default">1</property>
  </view></item>
 </layout></item>
</layout>"""
OPACITY, OPACITY_SELECTED = 0.1, 0.35  # fill of the boxes


def jumpTo(point):
    """Center all slices and the 3D views on a place (RAS, mm); whether there was a place to go to."""
    if not point or len(point) != 3 or not all(math.isfinite(value) for value in point):
        return False
    sliceNode = slicer.vtkMRMLSliceNode
    sliceNode.JumpAllSlices(slicer.mrmlScene, *point, sliceNode.CenteredJumpSlice)
    for camera in _nodes("vtkMRMLCameraNode"):
        focus, position = camera.GetFocalPoint(), camera.GetPosition()
        camera.SetFocalPoint(*point)
        camera.SetPosition(*(p + new - old for p, new, old in zip(position, point, focus, strict=True)))
        camera.ResetClippingRange()
    return True


def select(nodes, level):
    """Make one finding's box stand out, and the active one of the module Markups; None: no box."""
    for name, roi in nodes.rois.items():
        roi.GetDisplayNode().SetFillOpacity(OPACITY_SELECTED if name == level else OPACITY)
    selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection and level in nodes.rois:
        selection.SetActivePlaceNodeID(nodes.rois[level].GetID())


def showBoxes(nodes, shown):
    for roi in nodes.rois.values():
        roi.GetDisplayNode().SetVisibility(shown)


def showSegmentation(nodes, shown, in3D):
    """Show the vertebrae in slices (shown) and as surfaces (in3D)."""
    if nodes.segmentation is None or nodes.segmentation.GetDisplayNode() is None:
        return
    display = nodes.segmentation.GetDisplayNode()
    display.SetVisibility(shown or in3D)
    display.SetVisibility2D(shown)
    display.SetVisibility3D(in3D)


def showHeat(nodes, percent):
    """Lay the heat map over the CT in all slices, so opaque; 0 takes it away, and nothing else's foreground."""
    if nodes.heat is None:
        return
    for composite in _nodes("vtkMRMLSliceCompositeNode"):
        ours = composite.GetForegroundVolumeID() == nodes.heat.GetID()
        if percent:
            composite.SetForegroundVolumeID(nodes.heat.GetID())
            composite.SetForegroundOpacity(percent / 100)
        elif ours:
            composite.SetForegroundVolumeID(None)


def showVolume(volumeNode):
    """Put a CT into the background of all slices."""
    for composite in _nodes("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(volumeNode.GetID())


def useReadingLayout():
    """Axial large, sagittal, coronal and 3D beside it; whether there was a layout to change."""
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is None:
        return False
    if not layout.IsLayoutDescription(READING_LAYOUT):
        layout.AddLayoutDescription(READING_LAYOUT, READING_LAYOUT_XML)
    layout.SetViewArrangement(READING_LAYOUT)
    return True


def _nodes(className):
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]
