"""Where a reader works: the place that the slices are centered on, and the module Segment Editor. No Qt."""

import numpy as np
import slicer

SIDE = 12.0  # mm of a box that a reader adds; it can be resized


def centerOfSlices():
    """The place (RAS, mm) that the slices are centered on: each gives the coordinate across it; None without slices."""
    scene, places = slicer.mrmlScene, []
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        matrix = scene.GetNthNodeByClass(index, "vtkMRMLSliceNode").GetSliceToRAS()
        places.append([matrix.GetElement(row, 3) for row in range(3)])
    return [float(value) for value in np.median(places, axis=0)] if places else None


def boxHere(level):
    """A `Box` about the place that the slices are centered on; about the vertebra when there are no slices.

    Raises ValueError when neither is known.
    """
    from neckfrac.findings import Box
    from neckfrac.output.mrml import LPS_TO_RAS
    from slicer.i18n import tr as _

    place = centerOfSlices()
    center = level.center if place is None else (LPS_TO_RAS[:3, :3] @ np.array(place)).tolist()
    if center is None:
        raise ValueError(_("Center the slices on the fracture first."))
    center = np.array(center)
    return Box(tuple(map(float, center - SIDE / 2)), tuple(map(float, center + SIDE / 2)))


def openSegmentEditor(segmentationNode, volumeNode):
    """Show a segmentation in the module Segment Editor. Needs the running application; not run in our tests."""
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentationNode)
    editor.setSourceVolumeNode(volumeNode)
