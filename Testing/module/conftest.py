"""What all tests of the module share."""

import gc

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "vtk_complains(*texts): VTK may complain with a message that holds one of these")


@pytest.fixture(autouse=True)
def vtk_is_content(request):
    """VTK's errors and warnings, which Slicer logs, fail a test; the marker `vtk_complains` allows some by text."""
    pytest.importorskip("slicer")
    from slicer_double.scene_manners import no_vtk_complaints

    marker = request.node.get_closest_marker("vtk_complains")
    with no_vtk_complaints(marker.args if marker else ()):
        yield


@pytest.fixture(autouse=True)
def widgets_are_freed_in_their_own_thread():
    """Python's collector runs in whichever thread asks for memory: a reader thread that frees widgets ends Python."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()
