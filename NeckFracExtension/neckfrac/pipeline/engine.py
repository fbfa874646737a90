"""The trained networks, verified, loaded once and kept warm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..resources import resources_dir
from .combine import Ensemble

ENSEMBLE_FILE = "ensemble.json"
STEPS = ("locate", "segment", "slices", "vertebrae")


class Networks:
    """The bundles of a folder on one device.

    models_dir None: the bundles that come with the project. Raises InputError when a bundle is missing
    or was changed, or the device is not there.
    """

    def __init__(self, models_dir: Path | None = None, device: str = "auto", threads: int | None = None) -> None:
        import torch

        from ..bundles.bundle import find_bundle
        from .device import choose_device

        if threads:
            torch.set_num_threads(threads)
        self.device = choose_device(device)
        folder = Path(models_dir) if models_dir else resources_dir() / "Models"
        self.bundles = {step: find_bundle(folder, step) for step in STEPS}
        self.ensemble = Ensemble.read(folder / ENSEMBLE_FILE)
        self.networks = {step: bundle.network(self.device) for step, bundle in self.bundles.items()}

    def arguments(self, step: str) -> dict[str, Any]:
        """What a step's function takes from its bundle: network, intensity, device and its settings."""
        from .intensity import Intensity

        preprocessing = dict(self.bundles[step].preprocessing)
        intensity = Intensity.from_dict(preprocessing)
        settings = {name: value for name, value in preprocessing.items() if not name.startswith(("hu_", "spacing"))}
        if isinstance(settings.get("window"), list):
            settings["window"] = tuple(settings["window"])
        return {"network": self.networks[step], "intensity": intensity, "device": self.device, **settings}
