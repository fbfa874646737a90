"""A trained network on disk, in MONAI's bundle layout: write it, read it, verify it, list what is there.

A bundle is a folder: ``configs/metadata.json``, ``configs/inference.json`` (the network and the preprocessing),
``models/model.safetensors``, ``docs/README.md`` and ``LICENSE``. Weights are safetensors and never pickles, because
a pickle runs code when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..findings import ModelIdentity
from ..marks import unused
from ..provenance import Provenance
from ..workspace import Workspace, claim
from .build import build_network
from .card import model_card
from .metadata import complete, faults, license_note, provenance
from .steps import known_steps, place_of

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Bundle", "build_network", "find_bundle", "list_bundles", "load_bundle", "save_bundle"]

METADATA, INFERENCE, WEIGHTS = "configs/metadata.json", "configs/inference.json", "models/model.safetensors"
KEPT = (METADATA, INFERENCE, WEIGHTS, "docs/README.md", "LICENSE")  # a bundle's files
RESTORE = "Restore the bundle from the release, or train and export it again."


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle's folder and the content of its two JSON files; the weights are read by `network`."""

    folder: Path
    metadata: dict[str, Any]
    inference: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """What NeckFrac keeps with the bundle: step, temperature, thresholds, counts."""
        return self.metadata["neckfrac"]

    @property
    def preprocessing(self) -> dict[str, Any]:
        return self.inference["preprocessing"]

    @property
    def name(self) -> str:
        return self.settings["name"]

    @property
    def step(self) -> str:
        return self.settings["step"]

    @property
    def identity(self) -> ModelIdentity:
        own = self.settings
        return ModelIdentity(
            own["name"], self.metadata["version"], own["weights_sha256"], own["step"], own["trained_on"],
            provenance(self.metadata),
        )  # fmt: skip

    def network(self, device: torch.device | str = "cpu") -> nn.Module:
        """The network with its weights as float32 on `device`, in evaluation mode, without gradients.

        Raises InputError when the weights are missing, changed since export, or not this network's.
        """
        import safetensors
        import safetensors.torch

        content = self._weights()
        try:
            state = safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise InputError(
                f"The weights can't be read: {error}", where=self.folder / WEIGHTS, advice=RESTORE
            ) from error
        network = build_network(self.inference["network_def"], where=self.folder / INFERENCE)
        state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        try:
            network.load_state_dict(state, strict=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"The weights are not this network's: {reason}", where=self.folder / WEIGHTS, advice=RESTORE
            ) from error
        return network.to(device).eval().requires_grad_(False)

    def verify(self) -> None:
        """Check the whole bundle: metadata, checksum, and that the weights fit the network they describe.

        Raises InputError with the first fault.
        """
        import torch

        network = self.network("cpu")
        if sum(parameter.numel() for parameter in network.parameters()) != self.settings["n_parameters"]:
            raise InputError(
                "The metadata counts other parameters than the weights hold.", where=self.folder / METADATA
            )
        if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
            raise InputError(
                "The weights hold values that are not finite.", where=self.folder / WEIGHTS, advice=RESTORE
            )

    def check_weights(self) -> None:
        """Compare the weights with their SHA-256. Raises InputError when they are missing or were changed."""
        self._weights()

    def _weights(self) -> bytes:
        """The weights file's bytes, verified. Read once, so that what was checked is what is used."""
        path = self.folder / WEIGHTS
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            pickles = sorted(
                part.name for end in ("pt", "pth", "pkl", "ts", "bin") for part in path.parent.glob(f"*.{end}")
            )
            if pickles:
                raise InputError(
                    f"The bundle holds pickled weights ({', '.join(pickles)}), which can run code; they are not read.",
                    where=path.parent,
                    advice="Convert them to model.safetensors and export the bundle again.",
                ) from error
            raise InputError("The bundle's weights are missing.", where=path, advice=RESTORE) from error
        except OSError as error:
            raise InputError(f"The bundle's weights can't be read: {error}", where=path, advice=RESTORE) from error
        if hashlib.sha256(content).hexdigest() != self.settings["weights_sha256"]:
            raise InputError("The bundle's weights were changed: their SHA-256 differs.", where=path, advice=RESTORE)
        return content


def load_bundle(folder: Path | str) -> Bundle:
    """The bundle in `folder`; reads its JSON files only. Raises InputError when they are missing or wrong."""
    folder = Path(folder)
    metadata = _read_json(folder / METADATA)
    inference = _read_json(folder / INFERENCE)
    found = faults(metadata)
    if found:
        raise InputError(
            f"The bundle's metadata is wrong: {'; '.join(found)}.", where=folder / METADATA, advice=RESTORE
        )
    if not all(isinstance(inference.get(key), dict) for key in ("network_def", "preprocessing")):
        raise InputError("The bundle lacks its network or its preprocessing.", where=folder / INFERENCE, advice=RESTORE)
    return Bundle(folder, metadata, inference)


def list_bundles(models_dir: Path | str) -> list[Bundle]:
    """The bundles in `models_dir`, in the order of the pipeline. Raises InputError for a damaged one."""
    folders = sorted(path.parents[1] for path in Path(models_dir).glob(f"*/{METADATA}"))
    bundles = [load_bundle(folder) for folder in folders if not folder.name.startswith(".")]
    return sorted(bundles, key=lambda bundle: (place_of(bundle.step), bundle.name))


def find_bundle(models_dir: Path | str, step: str) -> Bundle:
    """The one bundle in `models_dir` for a step (see `steps`). Raises InputError when there is none, or several."""
    bundles = [bundle for bundle in list_bundles(models_dir) if bundle.step == step]
    if not bundles:
        raise InputError(f"There is no network for the step {step!r}.", where=models_dir, advice=RESTORE)
    if len(bundles) > 1:
        names = ", ".join(bundle.folder.name for bundle in bundles)
        raise InputError(
            f"There are {len(bundles)} networks for the step {step!r}: {names}.",
            where=models_dir,
            advice="Keep one of them in the folder.",
        )
    return bundles[0]


def save_bundle(
    folder: Path | str,
    *,
    name: str,
    version: str,
    step: str,
    network: nn.Module,
    network_config: dict[str, Any],
    preprocessing: dict[str, Any],
    metadata: dict[str, Any],
    half: bool = True,
) -> Bundle:
    """Write a bundle, verified, whole or not at all; an older one in `folder` is replaced.

    network_config: ``{"_target_": class, arguments}``, from which `build_network` builds the same network.
    metadata: keys of MONAI's schema; those left out get defaults, "neckfrac" holds settings of any kind.
    half: floating-point tensors as float16 (other tensors keep their type).
    Raises ValueError for an unknown step or weights that are not finite (in float16, when `half`), InputError when
    the network can't be rebuilt from `network_config`.
    """
    import safetensors.torch
    import torch

    if step not in known_steps():
        raise ValueError(f"step must be one of {', '.join(known_steps())}, not {step!r}")
    folder = Path(folder)
    state = {}
    for key, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float16 if half else torch.float32)
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{key} holds values that are not finite{' in float16' if half else ''}")
        state[key] = tensor.contiguous()
    weights = safetensors.torch.save(state)
    facts = {
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights_dtype": "float16" if half else "float32",
    }
    content = complete(
        metadata, name=name, version=version, step=step, network_config=network_config, facts=facts
    )  # fmt: skip
    inference = {"network_def": network_config, "preprocessing": preprocessing}

    with claimed_bundle(folder) as workspace:
        fresh = workspace.new
        for part in ("configs", "models", "docs"):
            (fresh / part).mkdir(parents=True)
        (fresh / WEIGHTS).write_bytes(weights)
        _write_json(fresh / METADATA, content)
        _write_json(fresh / INFERENCE, inference)
        (fresh / "docs/README.md").write_text(model_card(content), encoding="utf-8")
        (fresh / "LICENSE").write_text(license_note(content), encoding="utf-8")
        load_bundle(fresh).verify()
        put_bundle_in_place(workspace)
    return load_bundle(folder)


@contextmanager
def claimed_bundle(folder: Path) -> Iterator[Workspace]:
    """Where a bundle is made before it gets its place. Raises OSError, InputError when another run is writing it."""
    workspace = claim(folder)
    try:
        yield workspace
    finally:
        workspace.close()


def put_bundle_in_place(workspace: Workspace) -> None:
    """Give a new bundle its place; of an older one, files that are no bundle's are kept. Raises OSError, InputError."""
    workspace.new.chmod(0o755)
    workspace.put_in_place(lambda folder: (folder / METADATA).is_file(), _keep_other_files)


def _keep_other_files(old: Path, new: Path) -> None:
    moved: list[tuple[Path, Path]] = []
    try:
        for path in sorted(path for path in old.rglob("*") if not path.is_dir() or path.is_symlink()):
            part = path.relative_to(old)
            if part.as_posix() not in KEPT:
                (new / part).parent.mkdir(parents=True, exist_ok=True)
                target = unused(new / part)
                path.rename(target)
                moved.append((path, target))
    except OSError:
        for path, target in reversed(moved):
            target.rename(path)
        raise


def record_measured(
    folder: Path | str, weights_sha256: str, measured: dict[str, str], on: Provenance = Provenance.SIMULATED
) -> None:
    """Write measured figures into a bundle's metadata and model card; its weights stay as they are.

    on: whose scans they were measured on.

    Raises InputError when the bundle's weights are not those that were measured.
    """
    bundle = load_bundle(folder)
    content = bundle.metadata
    if content["neckfrac"]["weights_sha256"] != weights_sha256:
        raise InputError(
            "Other weights than these were measured.", where=bundle.folder, advice="Evaluate these, then record."
        )
    content = {**content, "eval_metrics": measured, "neckfrac": {**content["neckfrac"], "measured_on": on}}
    _write_json(bundle.folder / METADATA, content)
    (bundle.folder / "docs/README.md").write_text(model_card(content), encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("This is not a bundle: a file is missing.", where=path, advice=RESTORE) from error
    except (OSError, ValueError) as error:
        raise InputError(f"The file can't be read: {error}", where=path, advice=RESTORE) from error
    if not isinstance(content, dict):
        raise InputError("The file holds no JSON object.", where=path, advice=RESTORE)
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
