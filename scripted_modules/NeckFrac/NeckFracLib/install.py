"""Brings PyTorch, MONAI and safetensors into Slicer's Python: on a click, on the main thread, checked afterwards."""

import importlib.metadata
import importlib.util
import logging
import os
import subprocess
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .engine_path import pythonExecutable

PACKAGES = ("torch", "monai", "safetensors")
TORCH_REQUIREMENT = ">=2.6"
# What pip must leave as it is: a swapped NumPy or PyTorch breaks Slicer or other extensions.
KEPT = ("numpy", "torch", "scipy", "SimpleITK", "pydicom", "vtk")
CHECK = "import torch, monai, safetensors.torch; torch.zeros(1) + 1; print(torch.__version__, monai.__version__)"
SECONDS_TO_CHECK = 300


class InstallError(RuntimeError):
    """What could not be installed, and what the user can do."""


def requirementsPath():
    return Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"


def missingPackages():
    """The packages that this Python lacks; looks for them without importing them."""
    importlib.invalidate_caches()
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def checkInChildProcess():
    """The versions that a fresh process can use. Raises InstallError.

    A package that was installed while Slicer runs may import there and yet be broken, or the reverse.
    """
    try:
        finished = subprocess.run(
            [pythonExecutable(), "-c", CHECK],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUTF8": "1"},
            timeout=SECONDS_TO_CHECK,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(_("The installation could not be checked: {reason}").format(reason=error)) from error
    if finished.returncode:
        logging.error("NeckFrac's packages do not work:\n%s", finished.stderr)
        lines = finished.stderr.strip().splitlines() or [""]
        message = _("The packages were installed but do not work: {reason}. Restart Slicer and try again.")
        raise InstallError(message.format(reason=lines[-1]))
    return finished.stdout.strip()


def install():
    """Install what is missing and check it; the versions. Raises InstallError. Asks the user before it downloads."""
    missing = missingPackages()
    if "torch" in missing:
        _installTorch()
    if set(missing) - {"torch"}:
        _installRequirements()
    return checkInChildProcess()


def _installTorch():
    try:
        import PyTorchUtils
    except ImportError as error:
        message = _("Install the extension PyTorch in the Extensions Manager, restart Slicer and try again.")
        raise InstallError(message) from error
    # PyTorchUtils picks the build that suits the graphics card.
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT
    ) is None:
        raise InstallError(_("PyTorch was not installed."))


def _installRequirements():
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(_versionsToKeep(), encoding="utf-8")
        try:
            _runPip(constraints)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            raise InstallError(_("MONAI was not installed: {reason}").format(reason=error)) from error


def _runPip(constraints):
    try:
        import slicer.packaging as packaging
    except ImportError:
        # Slicer 5.10 has no slicer.packaging and does not ask either.
        names = [line for line in requirementsPath().read_text(encoding="utf-8").split("\n") if line and line[0] != "#"]
        question = _("NeckFrac will download and install: {names}.").format(names=", ".join(names))
        if not slicer.util.confirmOkCancelDisplay(question):
            raise RuntimeError(_("declined")) from None
        slicer.util.pip_install(["--constraint", str(constraints), *names])
        return
    requirements = packaging.load_requirements(requirementsPath())
    packaging.pip_ensure(requirements, constraints=constraints, requester="NeckFrac")


def _versionsToKeep():
    lines = []
    for name in KEPT:
        try:
            lines.append(f"{name}=={importlib.metadata.version(name)}\n")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "".join(lines)
