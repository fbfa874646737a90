"""Brings PyTorch, MONAI and safetensors into Slicer's Python: on a click, on the main thread, checked afterwards."""

import importlib.metadata
import importlib.util
import logging
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .engine_path import pythonExecutable

PACKAGES = ("torch", "monai", "safetensors")
DICOM_PACKAGES = ("highdicom",)  # on the first DICOM export only
WHEELS = "NECKFRAC_WHEELS"  # a folder of wheels, for installations without network
LONGEST_IN_TORCH = 120  # characters of the longest path below site-packages, of PyTorch 2.13.0
TORCH_REQUIREMENT = ">=2.6"
# What pip must leave as it is: a swapped NumPy or PyTorch breaks Slicer or other extensions.
KEPT = ("numpy", "torch", "scipy", "SimpleITK", "pydicom", "vtk")
CHECK = "import torch, monai, safetensors.torch; torch.zeros(1) + 1; print(torch.__version__, monai.__version__)"
SECONDS_TO_CHECK = 300


class InstallError(RuntimeError):
    """What could not be installed, and what the user can do."""


def requirementsPath(name="requirements.txt"):
    return Path(__file__).resolve().parents[1] / "Resources" / name


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
    missing, reason = missingPackages(), reasonAgainstInstalling()
    if missing and reason:
        raise InstallError(reason)
    if "torch" in missing:
        _installTorch()
    if set(missing) - {"torch"}:
        _installRequirements()
    return checkInChildProcess()


def _installTorch():
    if wheelFolder():
        _installRequirements("requirements-torch.txt", "PyTorch")
        return
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


def missingForDicom():
    """What writing DICOM needs beside the rest, as far as this Python lacks it."""
    importlib.invalidate_caches()
    return [name for name in DICOM_PACKAGES if importlib.util.find_spec(name) is None]


def installForDicom():
    """Install what writing DICOM needs, after asking. Raises InstallError."""
    if missingForDicom():
        _installRequirements("requirements-dicom.txt", "highdicom")
    if missingForDicom():
        raise InstallError(_("highdicom was not installed."))


def _installRequirements(name="requirements.txt", what="MONAI"):
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(_versionsToKeep(), encoding="utf-8")
        try:
            _runPip(requirementsPath(name), constraints)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            raise InstallError(_("{what} was not installed: {reason}").format(what=what, reason=error)) from error


def _runPip(path, constraints):
    wheels = wheelFolder()
    try:
        import slicer.packaging as packaging
    except ImportError:
        packaging = None
    if packaging is None or wheels:
        # Slicer 5.10 has no slicer.packaging and does not ask either; 5.12's asks, but knows no folder of wheels.
        names = [line for line in path.read_text(encoding="utf-8").split("\n") if line and line[0] != "#"]
        source = _("from {folder}").format(folder=wheels) if wheels else _("from the internet")
        question = _("NeckFrac will install {names} {source}.").format(names=", ".join(names), source=source)
        if not slicer.util.confirmOkCancelDisplay(question):
            raise RuntimeError(_("declined")) from None
        offline = ["--no-index", "--find-links", wheels] if wheels else []
        slicer.util.pip_install([*offline, "--constraint", str(constraints), *names])
        return
    packaging.pip_ensure(packaging.load_requirements(path), constraints=constraints, requester="NeckFrac")


def wheelFolder():
    """A folder with wheels to install from without network, as the environment names it; "" to use the network."""
    return os.environ.get(WHEELS, "")


def reasonAgainstInstalling():
    """Why an installation would fail, as far as that can be told beforehand; None when nothing speaks against it.

    Without long paths Windows ends a path at 260 characters.
    """
    if os.name == "nt" and not _longPathsAllowed() and len(sysconfig.get_path("purelib")) + LONGEST_IN_TORCH >= 260:
        return _(
            "The folder of Slicer has too long a name for PyTorch: Windows ends paths at 260 characters. Install "
            "Slicer in a folder with a short name, such as C:\\Slicer, or allow long paths in Windows."
        )
    return None


def _longPathsAllowed():
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def _versionsToKeep():
    lines = []
    for name in KEPT:
        try:
            lines.append(f"{name}=={importlib.metadata.version(name)}\n")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "".join(lines)
