"""Which nodes Apply makes or fills: what the selectors of the panel say, and whether that can be. No Qt.

The engine's part is `neckfrac.output.outputs`.
"""

import slicer
from slicer.i18n import tr as _

from .engine_path import ensureEngine

PARTS = ("segmentation", "table", "heat")
KINDS = {"segmentation": "vtkMRMLSegmentationNode", "table": "vtkMRMLTableNode", "heat": "vtkMRMLScalarVolumeNode"}


def chosen(parameterNode):
    """The parameter node's choice, as the engine takes it: a segmentation that is an input is put out as it is."""
    from dataclasses import replace

    named = _named(parameterNode)
    return named if parameterNode.inputSegmentation is None else replace(named, segmentation=None)


def _named(parameterNode):
    ensureEngine()
    from neckfrac.output.outputs import Outputs

    return Outputs(parameterNode.outputSegmentation, parameterNode.outputTable, parameterNode.outputHeat)


def choose(parameterNode, nodes):
    """Let the next Apply fill the nodes of a result (`SceneNodes`) again; None: let it make new ones."""
    ensureEngine()
    from neckfrac.output.outputs import Outputs

    outputs, node = Outputs.of(nodes), parameterNode.parameterNode
    if _named(parameterNode) == outputs:
        return
    was = node.StartModify()
    parameterNode.outputSegmentation = outputs.segmentation
    parameterNode.outputTable = outputs.table
    parameterNode.outputHeat = outputs.heat
    node.EndModify(was)


def present(outputs):
    """The outputs without nodes that have left the scene meanwhile, for which new ones are made."""
    from dataclasses import replace

    nodes = {part: getattr(outputs, part) for part in PARTS}
    gone = [part for part, node in nodes.items() if node is not None and not slicer.mrmlScene.IsNodePresent(node)]
    return replace(outputs, **dict.fromkeys(gone))


def reasonAgainst(outputs, volumeNode):
    """Why the outputs can't be filled with a result of a volume; None when they can."""
    from neckfrac.output.outputs import is_usable

    for node in outputs.nodes():
        if not is_usable(node, volumeNode):
            return _("{name} holds something else than a result of this volume. Choose another output.").format(
                name=node.GetName()
            )
    return None


def unusable(part, parameterNode):
    """The IDs of the nodes that are not offered as the output `part`.

    What is chosen is offered in any case: a selector would drop it, amid the reading of a scene, too, while references
    do not lead anywhere yet.
    """
    ensureEngine()
    from neckfrac.output.outputs import is_usable

    scene, kind, volume = slicer.mrmlScene, KINDS[part], parameterNode.inputVolume
    own = getattr(_named(parameterNode), part)
    nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node.GetID() for node in nodes if node is not own and not is_usable(node, volume)]


def inWords(outputs, result, given=None):
    """What Apply will do with these outputs: which nodes are filled, made, and kept as former.

    result: as it is now, or None. given: a segmentation that is an input, or None.
    """
    names = {"segmentation": _("segmentation"), "table": _("table and boxes"), "heat": _("heat map")}
    parts = [part for part in PARTS if part != "segmentation" or given is None]
    new = [names[part] for part in parts if getattr(outputs, part) is None]
    filled = [node.GetName() for node in outputs.nodes()]
    former = [getattr(result, part) for part in PARTS] if result else []
    kept = [node.GetName() for node in former if node is not None and node not in outputs.nodes()]
    lines = ((_("New: {names}."), new), (_("Replaced: {names}."), filled), (_("Kept: {names}."), kept))
    return "\n".join(text.format(names=", ".join(names)) for text, names in lines if names)
