"""What the slices and the 3D view show of a result: boxes, vertebrae, window, and jumps to a place. No Qt."""

import math

import slicer

OPACITY, OPACITY_SELECTED = 0.1, 0.35  # fill of the boxes
BONE, SOFT_TISSUE = (2000.0, 400.0), (400.0, 40.0)  # window and level, HU, as radiologists are used to
WINDOWED = "NeckFrac.Windowed"  # attribute of a CT that has been given a window once


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
    """Make one finding's box stand out; None: no box. What the module Markups would place next is left alone."""
    for name, roi in nodes.rois.items():
        roi.GetDisplayNode().SetFillOpacity(OPACITY_SELECTED if name == level else OPACITY)


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


def setWindow(volumeNode, window):
    """Show a CT with a window: BONE or SOFT_TISSUE; whether it could be."""
    display = volumeNode.GetScalarVolumeDisplayNode() if volumeNode else None
    if display is None:
        return False
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*window)
    volumeNode.SetAttribute(WINDOWED, "1")
    return True


def setFirstWindow(volumeNode):
    """Show a CT in the bone window, once, unless the reader has set a window: Slicer chooses one by itself at first.

    What Slicer chooses is automatic, or the first of the windows that the DICOM files name.
    """
    display = volumeNode.GetScalarVolumeDisplayNode()
    if display is None or volumeNode.GetAttribute(WINDOWED):
        return
    shown, presets = (display.GetWindow(), display.GetLevel()), display.GetNumberOfWindowLevelPresets()
    first = (display.GetWindowPreset(0), display.GetLevelPreset(0)) if presets else None
    if display.GetAutoWindowLevel() or shown == first:
        setWindow(volumeNode, BONE)


def showVolume(volumeNode):
    """Put a CT into the background of all slices."""
    for composite in _nodes("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(volumeNode.GetID())


def _nodes(className):
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]
