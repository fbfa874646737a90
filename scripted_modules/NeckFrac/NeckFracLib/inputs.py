"""Which volumes and segmentations the panel offers, and which CT it begins with. No Qt."""

import slicer

from . import hand_over
from .engine_path import ensureEngine


def likelyVolume():
    """The CT that the user probably means: what the red slice shows, else the first volume; None without any.

    Labelmaps, which are scalar volumes by their class, and what we made ourselves are none.
    """
    scene, kind = slicer.mrmlScene, "vtkMRMLScalarVolumeNode"
    red = scene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    shown = scene.GetNodeByID(red.GetBackgroundVolumeID() or "") if red else None
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    usable = [node for node in nodes if _isInput(node)]
    return shown if shown in usable else next(iter(usable), None)


def reasonAgainst(segmentationNode):
    """Why a segmentation that was chosen as an input can't be used; None when it can, or when there is none."""
    if segmentationNode is None:
        return None
    ensureEngine()
    from .segment_matching import reasonAgainst as reasonAgainstSegmentation

    return reasonAgainstSegmentation(segmentationNode)


def ownNodes():
    """The IDs of what is not offered as an input: heat maps, and what a comparison has made."""
    ensureEngine()
    from neckfrac.output.comparison import ATTRIBUTE
    from neckfrac.output.result import FORMER, RESULT

    scene, found = slicer.mrmlScene, []
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        made = node.GetAttribute(RESULT) is not None or node.GetAttribute(FORMER) is not None
        heat = made and node.IsA("vtkMRMLScalarVolumeNode")
        if heat or node.GetAttribute(ATTRIBUTE) is not None:
            found.append(node.GetID())
    return found


def hideOwnNodes(*selectors, also=()):
    """Take our own nodes off the lists of these qMRMLNodeComboBoxes. also: what will be one, or None."""
    hidden = [*ownNodes(), *(node.GetID() for node in also if node is not None)]
    hidden = list(dict.fromkeys(hidden))
    for selector in selectors:
        hide(selector, hidden)


def hide(selector, identifiers):
    """Take these nodes, and no others, off the list of a qMRMLNodeComboBox."""
    model = selector.sortFilterProxyModel()
    if sorted(model.hiddenNodeIDs) != sorted(identifiers):
        model.hiddenNodeIDs = identifiers


def _isInput(node):
    if node.GetClassName() != "vtkMRMLScalarVolumeNode" or node.GetHideFromEditors() or node.GetID() in ownNodes():
        return False
    return hand_over.isBent(node) or hand_over.reasonAgainst(node) is None
