"""Brings PyTorch, MONAI, safetensors and Jinja2 into Slicer's Python: on a click, on the main thread."""

import importlib.metadata
import importlib.util
import inspect
import logging
import os
import re
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from .engine_path import pythonExecutable
from .errors_shown import Declined

# And the oldest version that will do.
PACKAGES = {"torch": "2.6", "monai": "1.4", "safetensors": "0.4", "jinja2": "3.1"}
DICOM_PACKAGES = ("highdicom",)  # on the first DICOM export only
WHEELS = "NECKFRAC_WHEELS"  # a folder of wheels, for installations without network
LONGEST_IN_TORCH = 120  # characters of the longest path below site-packages, of PyTorch 2.13.0
TORCH_REQUIREMENT = f">={PACKAGES['torch']}"
# What pip must leave as it is: a swapped NumPy or PyTorch breaks Slicer or other extensions.
KEPT = ("numpy", "torch", "scipy", "SimpleITK", "pydicom", "vtk")
CHECK = "import jinja2, monai, safetensors.torch, torch; torch.ones(1); print(torch.__version__, monai.__version__)"


class InstallError(RuntimeError):
    """What could not be installed, and what the user can do."""


def requirementsPath(name="requirements.txt"):
    return Path(__file__).resolve().parents[1] / "Resources" / name


def missingPackages():
    """The packages that this Python lacks or has too old a version of; looks for them without importing them."""
    importlib.invalidate_caches()
    return [name for name, oldest in PACKAGES.items() if _isMissing(name) or _isTooOld(name, oldest)]


def inWords(names):
    """Packages for the user, with the version of those that are too old: "torch (2.4.1 is too old), monai"."""
    tooOld = {name for name in names if not _isMissing(name)}
    told = _("{name} ({version} is too old)")
    return ", ".join(told.format(name=name, version=_version(name)) if name in tooOld else name for name in names)


def _isMissing(name):
    return importlib.util.find_spec(name) is None


def _version(name):
    """The installed version as a text; "" when it is not known."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _isTooOld(name, oldest):
    """By the numbers of the release: "2.6.0+cu124" is 2.6.0. A version that nobody knows is taken as it is."""
    release = re.match(r"\d+(?:\.\d+)*", _version(name))
    return release is not None and _numbers(release.group()) < _numbers(oldest)


def _numbers(release):
    return [int(number) for number in release.split(".")]


def checkInChildProcess(onChecked):
    """Look what a fresh process can use, while the application goes on: onChecked(versions) or onChecked("", error).

    A package that was installed while Slicer runs may import there and yet be broken, or the reverse. No console
    window opens on Windows. Raises InstallError when no process can be started.
    """
    lines = []

    def completed(status):
        told = [line for line in lines if line.strip()] or [""]
        if not status:
            onChecked(told[-1].strip())
            return
        logging.error("NeckFrac's packages do not work:\n%s", "\n".join(lines))
        message = _("The packages were installed but do not work: {reason}. Restart Slicer and try again.")
        onChecked("", InstallError(message.format(reason=told[-1].strip())))

    launch = slicer.util.launchConsoleProcess
    command = [pythonExecutable(), "-c", CHECK]
    how = {"useStartupEnvironment": False, "updateEnvironment": {"PYTHONUTF8": "1"}}
    try:
        if "blocking" in inspect.signature(launch).parameters:
            launch(command, **how, blocking=False, logCallback=lines.append, completedCallback=completed)
            return
        process = launch(command, **how)  # Slicer 5.10
    except OSError as error:
        raise InstallError(_("The installation could not be checked: {reason}").format(reason=error)) from error
    while process.poll() is None:
        slicer.app.processEvents()
        time.sleep(0.05)
    lines += process.stdout.read().splitlines()
    completed(process.returncode)


def install():
    """Install what is missing, after asking. Raises InstallError, or Declined when the user does not want it."""
    missing, reason = missingPackages(), reasonAgainstInstalling()
    if missing and reason:
        raise InstallError(reason)
    if "torch" in missing:
        _installTorch()
    if set(missing) - {"torch"}:
        _installRequirements()


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
        raise Declined(_("PyTorch was not installed."))


def missingForDicom():
    """What writing DICOM needs beside the rest, as far as this Python lacks it."""
    importlib.invalidate_caches()
    return [name for name in DICOM_PACKAGES if importlib.util.find_spec(name) is None]


def installForDicom():
    """Install what writing DICOM needs, after asking. Raises InstallError, or Declined."""
    if missingForDicom():
        _installRequirements("requirements-dicom.txt", "highdicom")
    if missingForDicom():
        raise InstallError(_("highdicom was not installed."))


def _installRequirements(name="requirements.txt", what="MONAI"):
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        path = requirementsPath(name)
        constraints.write_text(_versionsToKeep(exceptFor=_namesIn(path)), encoding="utf-8")
        try:
            _runPip(path, constraints)
        except Declined:
            raise
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
        names = _requirementsIn(path)
        source = _("from {folder}").format(folder=wheels) if wheels else _("from the internet")
        question = _("NeckFrac will install {names} {source}.").format(names=", ".join(names), source=source)
        if not slicer.util.confirmOkCancelDisplay(question):
            raise Declined(_("{names} was not installed.").format(names=", ".join(names))) from None
        offline = ["--no-index", "--find-links", wheels] if wheels else []
        slicer.util.pip_install([*offline, "--constraint", str(constraints), *names])
        return
    try:
        packaging.pip_ensure(packaging.load_requirements(path), constraints=constraints, requester="NeckFrac")
    except RuntimeError as error:  # what it raises when the user declines, and for nothing else
        raise Declined(str(error)) from error


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


def _requirementsIn(path):
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line and line[0] != "#"]


def _namesIn(path):
    return {re.match(r"[\w-]+", line).group() for line in _requirementsIn(path)}


def _versionsToKeep(exceptFor=()):
    """Constraints for pip: the versions of what is to stay; not of what is to be renewed."""
    kept = {name: _version(name) for name in KEPT if name not in exceptFor}
    return "".join(f"{name}=={version}\n" for name, version in kept.items() if version)
