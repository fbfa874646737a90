"""The trained networks, verified, loaded once and kept warm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..resources import resources_dir
from .combine import Ensemble

if TYPE_CHECKING:
    from ..bundles.bundle import Bundle

ENSEMBLE_FILE = "ensemble.json"
SPINE = ("locate", "segment")


class Networks:
    """The bundles of a folder on one device.

    bundles, networks: "locate" and "segment", then the members of the fracture ensemble by their bundle's name.
    missing: members that the ensemble was fitted with and that are not in the folder.
    models_dir None: the bundles that come with the project. Raises InputError when a network of the spine or every
    member is missing, a bundle was changed, or the device is not there.
    """

    def __init__(self, models_dir: Path | None = None, device: str = "auto", threads: int | None = None) -> None:
        import torch

        from ..bundles.bundle import RESTORE, find_bundle, list_bundles
        from .device import choose_device

        if threads:
            torch.set_num_threads(threads)
        self.device = choose_device(device)
        folder = Path(models_dir) if models_dir else resources_dir() / "Models"
        self.bundles = {step: find_bundle(folder, step) for step in SPINE}
        self.bundles |= {bundle.name: bundle for bundle in list_bundles(folder) if bundle.step not in SPINE}
        if not self.members:
            raise InputError("There is no network that finds fractures.", where=folder, advice=RESTORE)
        self.ensemble = Ensemble.read(folder / ENSEMBLE_FILE)
        self.missing = sorted({*self.ensemble.levels} - {*self.members})
        self.networks = {name: bundle.network(self.device) for name, bundle in self.bundles.items()}

    @property
    def members(self) -> dict[str, Bundle]:
        """The bundles of the fracture ensemble by name."""
        return {name: bundle for name, bundle in self.bundles.items() if name not in SPINE}

    def arguments(self, name: str) -> dict[str, Any]:
        """What takes a step ("locate", "segment", or a member): network, intensity, device and its settings."""
        from .intensity import Intensity

        preprocessing = dict(self.bundles[name].preprocessing)
        intensity = Intensity.from_dict(preprocessing)
        settings = {key: value for key, value in preprocessing.items() if not key.startswith(("hu_", "spacing"))}
        if isinstance(settings.get("window"), list):
            settings["window"] = tuple(settings["window"])
        return {"network": self.networks[name], "intensity": intensity, "device": self.device, **settings}
