"""A result's segmentation against a reference, and each network's probabilities: what passes to and fro. No Qt."""

import json
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from . import hand_over, segment_matching
from .engine_path import ensureEngine
from .job_runner import JobError

COMMAND = "compare"
ENSEMBLE = "ensemble"
OURS, REFERENCE, RESULT = "labels.npy", "reference.npy", "result"


def reasonAgainst(volumeNode, segmentationNode, referenceNode):
    """Why the two can't be compared, for the user; None when they can. referenceNode: None for a check alone."""
    reason = hand_over.reasonAgainst(volumeNode)
    if reason:
        return reason
    if segmentationNode is None:
        return _("Analyze the volume first: its segmentation is compared.")
    if referenceNode is segmentationNode:
        return _("The reference is the segmentation itself.")
    for node in filter(None, (segmentationNode, referenceNode)):
        reason = segment_matching.reasonAgainst(node)
        if reason:
            return reason
    return None


def compareArguments(volumeNode, segmentationNode, referenceNode, folder):
    """What the worker's job `compare` takes; writes the labels to `folder`. Raises ValueError with the reason."""
    folder, paths = Path(folder), {}
    for name, file, node in (("labels", OURS, segmentationNode), ("reference", REFERENCE, referenceNode)):
        if node is not None:
            np.save(folder / file, segment_matching.labelmapOf(node, volumeNode), allow_pickle=False)
            paths[name] = str(folder / file)
    return {**paths, "affine": hand_over.affineOf(volumeNode).tolist(), "result": str(folder / RESULT)}


def takeIn(folder, volumeNode):
    """Put what the worker found into the scene, in place of an earlier comparison; the Comparison."""
    from neckfrac.comparison.compare import Comparison, Disagreement
    from neckfrac.comparison.surfaces import read_surfaces
    from neckfrac.jobs import COMPARISON, DISAGREEMENT, SURFACES
    from neckfrac.output.comparison import add_comparison

    if slicer.mrmlScene.GetNodeByID(volumeNode.GetID() or "") is not volumeNode:
        raise JobError(_("The volume was removed from the scene while it was compared."), "scene")
    result, surfaces, disagreement = Path(folder) / RESULT, {}, None
    comparison = Comparison.from_dict(json.loads((result / COMPARISON).read_text(encoding="utf-8")))
    if (result / SURFACES).exists():
        surfaces = read_surfaces(result / SURFACES)
        with np.load(result / DISAGREEMENT, allow_pickle=False) as file:
            disagreement = Disagreement(**file)
    add_comparison(slicer.mrmlScene, comparison, surfaces, disagreement, volume_node=volumeNode)
    return comparison


def comparisonOf(volumeNode):
    """The comparison that the scene holds of a CT; None when there is none."""
    if volumeNode is None:
        return None
    ensureEngine()
    from neckfrac.output.comparison import comparison_in

    return comparison_in(slicer.mrmlScene, volumeNode)


def show(distances, disagreement):
    """Show or hide the distance-colored surfaces and the disagreement."""
    ensureEngine()
    from neckfrac.output.comparison import show_disagreement, show_surfaces

    show_surfaces(slicer.mrmlScene, distances)
    show_disagreement(slicer.mrmlScene, disagreement)


def flagsOf(comparison):
    """What is odd, as (flag, whether it is in the reference), the segmentation's first."""
    own = [(flag, False) for flag in comparison.flags]
    return own + [(flag, True) for flag in comparison.reference_flags]


def memberTable(findings):
    """Each network's probability side by side: (columns, rows); a row is a name, values by column and a place (LPS).

    columns: ENSEMBLE, then the networks by name. Values are None where a network says nothing of a row.
    """
    named = {name for level in findings.levels for name in level.members} | set(findings.patient_members)
    known = [model.name for model in findings.models if model.name in named]
    columns = [ENSEMBLE, *known, *sorted(named - set(known))]
    rows = []
    for level in findings.levels:
        values = {ENSEMBLE: level.probability, **level.members}
        rows.append((findings.naming.either(level.level), [values.get(name) for name in columns], level.center))
    values = {ENSEMBLE: findings.patient_probability, **findings.patient_members}
    rows.append((_("Patient"), [values.get(name) for name in columns], None))
    return columns, rows
