"""A network from its description in a bundle, without letting the description run code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from torch import nn

ALLOWED = ("neckfrac.networks.", "monai.networks.nets.")
_DOTTED_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")
_ADVICE = "Use only bundles from a source you trust; this one was not loaded."


def build_network(description: dict[str, Any], *, where: object = None) -> nn.Module:
    """The network, newly initialised, that a MONAI bundle's ``network_def`` describes.

    description: ``{"_target_": "neckfrac.networks.locate_unet.LocateUNet", argument: value, ...}``.
    where: the file it came from, for errors.
    Raises InputError for a target other than a network of NeckFrac or MONAI, for anything that MONAI's config
    syntax would evaluate, and for arguments that the network does not take.
    """
    if not isinstance(description, dict) or "_target_" not in description:
        raise InputError("The bundle does not describe its network.", where=where, advice=_ADVICE)
    _check(description, where)
    # Costs nothing more: the networks need MONAI, and `import monai` imports its bundle package too.
    from monai.bundle import ConfigParser

    try:
        return ConfigParser({"network_def": description}).get_parsed_content("network_def")
    except (RuntimeError, TypeError, ValueError) as error:
        reason = error.__cause__ or error
        raise InputError(
            f"The network {description['_target_']} could not be built: {reason}",
            where=where,
            advice="The bundle may belong to another version of NeckFrac.",
        ) from error


def _check(part: Any, where: object) -> None:
    """Refuse what could run code: the parser imports targets, evaluates ``$``, follows ``@`` and reads ``%`` files."""
    if isinstance(part, str) and part[:1] in ("$", "@", "%"):
        raise InputError(
            f"The bundle holds an expression ({part!r}), which could run code.", where=where, advice=_ADVICE
        )
    if isinstance(part, (list, tuple)):
        for item in part:
            _check(item, where)
    if isinstance(part, dict):
        for key, value in part.items():
            # _mode_ can start a debugger, _requires_ can import; none of them is needed here.
            if key.startswith(("_", "$", "@", "%")) and key != "_target_":
                raise InputError(f"The bundle's network has a forbidden key {key!r}.", where=where, advice=_ADVICE)
            _check(value, where)
        if "_target_" in part:
            _check_target(part, where)


def _check_target(part: dict[str, Any], where: object) -> None:
    import inspect
    from importlib import import_module

    target = part["_target_"]
    refusal = InputError(f"The bundle asks for {target!r}, which is no known network.", where=where, advice=_ADVICE)
    if not isinstance(target, str) or not target.startswith(ALLOWED) or not _DOTTED_NAME.fullmatch(target):
        raise refusal
    module_name, _, class_name = target.rpartition(".")
    try:
        # Only a real module's own class: a longer path could climb out through what the module imports
        # (neckfrac.networks.x.torch.hub.load).
        network = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise refusal from error
    from torch import nn

    if not (inspect.isclass(network) and issubclass(network, nn.Module) and network.__module__.startswith(ALLOWED)):
        raise refusal
    pretrained = inspect.signature(network).parameters.get("pretrained")
    if pretrained is not None and part.get("pretrained", pretrained.default):
        raise InputError(
            f"{target} would download pretrained weights.", where=where, advice='Set "pretrained": false in it.'
        )
