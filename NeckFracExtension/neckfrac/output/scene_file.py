"""A MRML scene on disk, without a running Slicer: one file that Slicer opens, or a segmentation alone."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..native_messages import without_itk_errors

if TYPE_CHECKING:
    from ..findings import Analysis
    from ..progress import Progress
    from .scene_nodes import SceneNodes

ADVICE = "Install it with: pip install 'neckfrac[scene]'"
# Slicer's own interpreter (PythonSlicer) without the application: there `import slicer` brings MRML's core alone, and
# the classes of loadable modules lie in kits that only the application imports by itself. slicer-core has all in one.
KITS = (
    "vtkSegmentationCorePython",
    "vtkSlicerSegmentationsModuleMRMLPython",
    "vtkSlicerSegmentationsModuleLogicPython",
    "vtkSlicerTerminologiesModuleLogicPython",
    "vtkSlicerMarkupsModuleMRMLPython",
    "vtkSlicerMarkupsModuleLogicPython",
)


class HeadlessScene:
    """A vtkMRMLScene with the logics that reading and writing need. Raises InputError without slicer-core."""

    def __init__(self, folder: Path) -> None:
        try:
            import slicer
            import vtk
        except ImportError as error:
            raise InputError("Writing a Slicer scene needs slicer-core.", advice=ADVICE) from error
        add_loadable_classes(slicer)
        # The markups logic reports an absent selection node once a markup, the archive each block that it can't
        # write, and on standard output: nobody can act on the one, the other is an InputError below.
        vtk.vtkObject.GlobalWarningDisplayOff()
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
        self._window_before = vtk.vtkOutputWindow.GetInstance()
        vtk.vtkOutputWindow.SetInstance(vtk.vtkStringOutputWindow())
        self.scene = slicer.vtkMRMLScene()
        self.application = slicer.vtkMRMLApplicationLogic()
        self.application.SetTemporaryPath(str(folder))
        self.application.SetMRMLScene(self.scene)
        self._cache(slicer, folder)
        self.logics = []
        for name in ("Segmentations", "Terminologies"):
            logic = getattr(slicer, f"vtkSlicer{name}ModuleLogic")()
            # The application logic first: a scene without it leaves colours and terminologies unset.
            logic.SetMRMLApplicationLogic(self.application)
            logic.SetMRMLScene(self.scene)
            self.logics.append(logic)
        markups = slicer.vtkSlicerMarkupsLogic()
        markups.SetMRMLApplicationLogic(self.application)
        markups.SetMRMLScene(self.scene)
        self.logics.append(markups)
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self.scene)
        # The module Colors does it in Slicer: without it a scene's legends are lost when it is read.
        self.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())

    def _cache(self, slicer: Any, folder: Path) -> None:
        """Reading a scene goes through Slicer's data manager, which wants a cache folder."""
        self.remote = slicer.vtkMRMLRemoteIOLogic()
        self.remote.GetCacheManager().SetRemoteCacheDirectory(str(folder))
        self.remote.SetMRMLScene(self.scene)
        self.io = slicer.vtkDataIOManagerLogic()
        self.io.SetMRMLApplicationLogic(self.application)
        self.io.SetAndObserveDataIOManager(self.remote.GetDataIOManager())
        self.remote.AddDataIOToScene()

    def close(self) -> None:
        """Let go of every node."""
        import vtk

        self.scene.Clear(1)
        vtk.vtkOutputWindow.SetInstance(self._window_before)


def add_loadable_classes(slicer: Any) -> None:
    """Give the module `slicer` the classes of the KITS that it lacks. Not run in a real Slicer yet."""
    if hasattr(slicer, "vtkSlicerMarkupsLogic") and hasattr(slicer, "vtkSlicerSegmentationsModuleLogic"):
        return
    for kit in KITS:
        try:
            content = vars(importlib.import_module(kit))
        except ImportError:
            continue  # what is missing then is told by its name where it is needed
        for name, member in content.items():
            if name.startswith("vtk") and not hasattr(slicer, name):
                setattr(slicer, name, member)


def write_scene(analysis: Analysis, path: Path, *, progress: Progress | None = None) -> None:
    """The analysis as ``.mrb``, its segmentation as ``vertebrae.seg.nrrd`` beside it (see `write_nodes`).

    Raises InputError when it can't be written or slicer-core is missing.
    """
    from .scene import populate_scene

    # What goes into the .mrb is first written here, the patient's CT too: beside the result, not in a common
    # temporary folder, so that whoever clears away an unfinished result clears away this as well.
    with tempfile.TemporaryDirectory(prefix="scene-", dir=path.parent) as folder:
        headless = HeadlessScene(Path(folder))
        try:
            nodes = populate_scene(headless.scene, analysis, progress=progress)
            write_nodes(headless.scene, nodes, path)
        finally:
            headless.close()


def write_nodes(scene: Any, nodes: SceneNodes, path: Path) -> None:
    """Write a scene as ``.mrb`` and its segmentation as ``vertebrae.seg.nrrd`` beside it.

    T1 and the skull base, when they are there, go into ``anchors.seg.nrrd``: the vertebrae's file never holds them.
    """
    from .segments import anchor_segments, only

    for node in nodes.all():
        node.AddDefaultStorageNode()
    _store_compactly(nodes.segmentation.GetStorageNode())
    for node in (nodes.volume, nodes.heat):
        if node is not None:
            # Level 1 of zlib: CT hardly gets smaller with more, and takes many times as long.
            node.GetStorageNode().SetCompressionParameter("gzip_fastest")
    vertebrae = nodes.segmentation
    if anchor_segments(nodes.segmentation):
        vertebrae = only(nodes.segmentation, anchors=False)
        write_segmentation(only(nodes.segmentation, anchors=True), path.parent / "anchors.seg.nrrd")
    write_segmentation(vertebrae, path.parent / "vertebrae.seg.nrrd")
    with without_itk_errors():
        written = scene.WriteToMRB(str(path))
    if not written:
        raise InputError("The scene can't be written.", where=path, advice="Check the room on the disk.")


def _store_compactly(storage: Any) -> None:
    """Only the voxels around the vertebrae, on the CT's lattice; the header keeps the CT's own extent.

    The whole extent took 5 s of CPU on 512x512x300, twice; this takes 0.2 s, and Slicer shows the same.
    """
    storage.SetCropToMinimumExtent(True)


def write_segmentation(node: Any, path: Path) -> None:
    """A segmentation node as ``.seg.nrrd`` that opens alone in Slicer."""
    import slicer

    storage = slicer.vtkMRMLSegmentationStorageNode()
    _store_compactly(storage)
    storage.SetFileName(str(path))
    with without_itk_errors():
        written = storage.WriteData(node)
    if not written:
        raise InputError("The segmentation can't be written.", where=path, advice="Check the room on the disk.")


def read_scene(path: Path, folder: Path) -> HeadlessScene:
    """A written ``.mrb`` in a scene of its own; `folder` takes its unpacked files. Raises InputError."""
    headless = HeadlessScene(folder)
    if not headless.scene.ReadFromMRB(str(path), True):
        raise InputError("The scene can't be read.", where=path)
    return headless
