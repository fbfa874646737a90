"""T1 and the skull base in the scene: hidden segments beside the levels, shown when the user asks for them."""

import slicer

from .engine_path import ensureEngine


def showAnchors(shown):
    """Show or hide the anchors of every segmentation in the scene."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode", slicer.mrmlScene)
    if not nodes:
        return
    ensureEngine()
    from neckfrac.output.segments import show_anchors

    for node in nodes:
        show_anchors(node, shown)
