"""The heat map as the foreground of the slices, and what lay there before. No Qt.

Slicer lets the mouse change the window of the foreground wherever it is inside that volume, also where it is
transparent: with the heat map there, the CT could not be windowed. So the mouse leaves it alone.
"""

import slicer

from .engine_path import ensureEngine

FOREGROUND, OPACITY = "NeckFrac.Foreground", "NeckFrac.ForegroundOpacity"  # of a composite node: what the reader had
MANAGER = "vtkMRMLScalarBarDisplayableManager"  # of each slice view; it changes window and level, too
_editable = {}  # whether the mouse could change the foreground's window, by the slice view's name, before we came


def showHeat(nodes, percent):
    """Lay a result's heat map over the CT in all slices, so opaque; 0 takes it away and puts back what was there."""
    heat = nodes.heat if percent else None
    if heat is None:
        takeHeatAway()
        return
    for composite in composites():
        before = _foreground(composite)
        if before is not None and not isOurs(before):
            composite.SetNodeReferenceID(FOREGROUND, before.GetID())
            composite.SetAttribute(OPACITY, repr(composite.GetForegroundOpacity()))
        composite.SetForegroundVolumeID(heat.GetID())
        composite.SetForegroundOpacity(percent / 100)
    _keepMouseOff()


def takeHeatAway():
    """No heat map of ours is in the foreground any more, but what the reader had there."""
    for composite in composites():
        now, before = _foreground(composite), composite.GetNodeReference(FOREGROUND)
        if now is not None and not isOurs(now):
            continue
        if before is not None:
            composite.SetForegroundVolumeID(before.GetID())
            composite.SetForegroundOpacity(float(composite.GetAttribute(OPACITY) or 0.5))
        elif now is not None:
            composite.SetForegroundVolumeID(None)
        composite.SetNodeReferenceID(FOREGROUND, None)
    _letMouseBack()


def isOurs(node):
    """Whether a node is part of a result."""
    ensureEngine()
    from neckfrac.output.result import RESULT

    return node.GetAttribute(RESULT) is not None


def composites():
    """The nodes that say what each slice view shows."""
    scene, kind = slicer.mrmlScene, "vtkMRMLSliceCompositeNode"
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def _foreground(composite):
    return slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")


def _managers():
    """The displayable manager of each slice view that changes window and level, by the view's name."""
    layouts = getattr(slicer.app, "layoutManager", None)
    layouts = layouts() if layouts else None
    if layouts is None:  # --no-main-window
        return {}
    views = {name: layouts.sliceWidget(name).sliceView() for name in layouts.sliceViewNames()}
    managers = {name: view.displayableManagerByClassName(MANAGER) for name, view in views.items()}
    return {name: manager for name, manager in managers.items() if manager is not None}


def _keepMouseOff():
    for name, manager in _managers().items():
        _editable.setdefault(name, manager.GetAdjustForegroundWindowLevelEnabled())
        manager.SetAdjustForegroundWindowLevelEnabled(False)


def _letMouseBack():
    for name, manager in _managers().items():
        if name in _editable:
            manager.SetAdjustForegroundWindowLevelEnabled(_editable.pop(name))
