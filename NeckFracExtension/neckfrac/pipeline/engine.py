"""The trained networks, verified, loaded once and kept warm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundles.library import ENSEMBLE_FILE, SPINE, ensemble_file, installed, model_folders
from ..errors import InputError
from .combine import Ensemble

if TYPE_CHECKING:
    import torch

    from ..bundles.bundle import Bundle

__all__ = ["ENSEMBLE_FILE", "SPINE", "Networks"]


class Networks:
    """The bundles of a folder on one device.

    bundles, networks: "locate" and "segment", then the members of the fracture ensemble by their bundle's name.
    missing: members that the ensemble was fitted with and that are not in the folder. left_out: those that were not
    loaded because `leave_out` names them. idle: those that weigh nothing; they are neither asked nor loaded,
    unless they are to be explained or `ask_all` says so. replaced: members with a weight that was fitted to another
    network of that name, as the user put one in its place.
    models_dir None: the bundles that come with the project, and the user's (see `bundles.library`). Raises InputError
    when a network of the spine or every member that counts is missing, a bundle was changed, `leave_out` names no
    member, or the device is not there.
    """

    def __init__(
        self,
        models_dir: Path | None = None,
        device: str = "auto",
        threads: int | None = None,
        leave_out: Sequence[str] = (),
        ask_all: bool = False,
    ) -> None:
        import torch

        from ..bundles.bundle import RESTORE
        from .device import choose_device

        if threads:
            torch.set_num_threads(threads)
        self.device = choose_device(device)
        folders = model_folders(models_dir or None)
        there = installed(folders)
        self.bundles = {bundle.step if bundle.step in SPINE else bundle.name: bundle for bundle in there}
        for step in SPINE:
            if step not in self.bundles:
                raise InputError(f"There is no network for the step {step!r}.", where=folders[0], advice=RESTORE)
        if not self.members:
            raise InputError("There is no network that finds fractures.", where=folders[0], advice=RESTORE)
        self.ensemble = Ensemble.read(ensemble_file(folders))
        # As the ensemble lists them, so that sums do not depend on what else is installed.
        listed = [*SPINE, *self.ensemble.levels]
        last = len(listed)
        self.bundles = dict(sorted(self.bundles.items(), key=lambda b: listed.index(b[0]) if b[0] in listed else last))
        self.missing = sorted({*self.ensemble.levels} - {*self.members})
        self.left_out = self._leave_out(leave_out)
        fitted_in = ensemble_file(folders).parent
        self.replaced = sorted(
            name for name, b in self.members.items() if self.ensemble.weight(name) and b.folder.parent != fitted_in
        )
        counts = {name for name in self.members if self.ensemble.counts(name)}
        self.idle = sorted({*self.members} - counts) if counts and not ask_all else []
        self.networks = {n: bundle.network(self.device) for n, bundle in self.bundles.items() if n not in self.idle}
        self.batch: int | None = None  # how many slices at a time; None: as many as each step thinks best

    def to(self, device: torch.device) -> None:
        """Move the networks to another device."""
        self.device = device
        for network in self.networks.values():
            network.to(device)

    def _leave_out(self, names: Sequence[str]) -> list[str]:
        """Take members out before their weights are loaded; those that are left must count for something."""
        before = self.members
        if strangers := sorted({*names} - {*before}):
            raise InputError(
                f"There is no member {', '.join(strangers)} to leave out.", advice=f"Choose among {', '.join(before)}."
            )
        counted = any(self.ensemble.weight(name) > 0 for name in before)
        if names and not any(self.ensemble.weight(name) > 0 or not counted for name in {*before} - {*names}):
            raise InputError(
                "No network that counts in the ensemble would be left.", advice="Leave fewer of them out."
            )
        for name in {*names}:
            del self.bundles[name]
        return sorted({*names})

    @property
    def members(self) -> dict[str, Bundle]:
        """The bundles of the fracture ensemble by name."""
        return {name: bundle for name, bundle in self.bundles.items() if name not in SPINE}

    def _in_batches(self, name: str) -> bool:
        """Whether a step, or a member, shows its network many images at a time."""
        from ..members import takes_batches  # imports PyTorch

        return name == "segment" or name not in SPINE and takes_batches(self.bundles[name].step)

    def arguments(self, name: str) -> dict[str, Any]:
        """What a step ("locate", "segment", or a member) takes: network, device, settings; intensity if it has one."""
        from .intensity import Intensity

        preprocessing = dict(self.bundles[name].preprocessing)
        settings = {key: value for key, value in preprocessing.items() if not key.startswith(("hu_", "spacing"))}
        if isinstance(settings.get("window"), list):
            settings["window"] = tuple(settings["window"])
        if self.batch and self._in_batches(name):
            settings["batch"] = self.batch
        if "hu_lower" in preprocessing:  # the dense detector is shown HU on each scan's own scale
            settings["intensity"] = Intensity.from_dict(preprocessing)
        if name not in self.networks:  # one that is idle, to be explained
            self.networks[name] = self.bundles[name].network(self.device)
        return {"network": self.networks[name], "device": self.device, **settings}
