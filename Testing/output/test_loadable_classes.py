"""In Slicer's own interpreter without the application, the classes of loadable modules come from kits of their own."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from neckfrac.output.scene_file import KITS, add_loadable_classes


@pytest.fixture
def kits(monkeypatch):
    """Stand-ins for two of the kits; the others are not there."""
    for name, member in ((KITS[2], "vtkSlicerSegmentationsModuleLogic"), (KITS[5], "vtkSlicerMarkupsLogic")):
        kit = ModuleType(name)
        setattr(kit, member, object())
        kit.vtkMRMLScene, kit.helper = "the kit's", "no class"
        monkeypatch.setitem(sys.modules, name, kit)


def test_what_the_core_lacks_is_taken_from_the_kits_and_nothing_else(kits):
    slicer = SimpleNamespace(vtkMRMLScene="the core's")
    add_loadable_classes(slicer)
    assert set(vars(slicer)) == {"vtkMRMLScene", "vtkSlicerSegmentationsModuleLogic", "vtkSlicerMarkupsLogic"}
    assert slicer.vtkMRMLScene == "the core's"


def test_where_all_classes_are_there_already_nothing_is_imported(kits):
    slicer = SimpleNamespace(vtkSlicerMarkupsLogic=1, vtkSlicerSegmentationsModuleLogic=2)
    add_loadable_classes(slicer)
    assert set(vars(slicer)) == {"vtkSlicerMarkupsLogic", "vtkSlicerSegmentationsModuleLogic"}
