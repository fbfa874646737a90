"""Installing on a click: what is asked of whom. The installers are stand-ins; nothing is downloaded."""

import importlib
import sys
import time
import types
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer")

from slicer_double.stand_ins import install as install_stand_ins  # noqa: E402

qt_stand_in = pytest.importorskip("slicer_double.qt_stand_in")

REQUIREMENTS = Path(__file__).parents[2] / "scripted_modules" / "NeckFrac" / "Resources" / "requirements.txt"


@pytest.fixture
def install(monkeypatch, tmp_path):
    install_stand_ins(slicer.vtkMRMLScene(), tmp_path)
    module = importlib.import_module("NeckFracLib.install")
    monkeypatch.setattr(module, "CHECK", "print('2.9 1.6')")
    monkeypatch.setattr(module, "missingPackages", lambda: ["torch", "monai", "safetensors", "jinja2"])
    return module


@pytest.fixture
def qt(monkeypatch):
    """Slicer's own function, which is run here, works with a timer of Qt."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    qt_stand_in.application()
    monkeypatch.setitem(sys.modules, "qt", qt_stand_in.qt_module())


class StandInPyTorchUtils(types.ModuleType):
    """For the extension PyTorch; `asked` holds what it was asked."""

    def __init__(self, answer):
        super().__init__("PyTorchUtils")
        self.asked = asked = []

        class Logic:
            def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
                asked.append((askConfirmation, torchVersionRequirement))
                return answer

        self.PyTorchUtilsLogic = Logic


@pytest.fixture
def pip_ensure(monkeypatch):
    """Stands in for Slicer 5.12's slicer.packaging; returns what it was asked."""
    asked = {}
    packaging = types.ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: Path(path).read_text(encoding="utf-8").split("\n")

    def ensure(requirements, constraints=None, requester=None):
        asked.update(requirements=requirements, constraints=Path(constraints).read_text(), requester=requester)

    packaging.pip_ensure = ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    return asked


def test_torch_comes_from_its_extension_and_the_rest_from_the_requirements(install, pip_ensure, monkeypatch):
    torch = StandInPyTorchUtils(answer=object())
    monkeypatch.setitem(sys.modules, "PyTorchUtils", torch)
    install.install()
    assert torch.asked == [(True, install.TORCH_REQUIREMENT)]
    assert any(line.startswith("monai>=") for line in pip_ensure["requirements"])
    assert not any(line.startswith("torch") for line in pip_ensure["requirements"])
    assert "numpy==" in pip_ensure["constraints"] and pip_ensure["requester"] == "NeckFrac"


def test_without_the_extension_pytorch_the_user_hears_what_to_do(install, pip_ensure, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(install.InstallError, match="Extensions Manager"):
        install.install()
    assert not pip_ensure


def test_who_declines_torch_gets_nothing_else_either(install, pip_ensure, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", StandInPyTorchUtils(answer=None))
    with pytest.raises(install.Declined):
        install.install()
    assert not pip_ensure


@pytest.mark.parametrize("agrees", [True, False])
def test_slicer_5_10_asks_and_installs_with_its_own_pip(install, monkeypatch, agrees):
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(install, "missingPackages", lambda: ["monai"])
    installed = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: agrees)
    monkeypatch.setattr(slicer.util, "pip_install", installed.extend)
    if agrees:
        install.install()
        assert installed[0] == "--constraint" and installed[2].startswith("monai>=")
    else:
        with pytest.raises(install.Declined):
            install.install()
        assert not installed


def checked(install):
    """What the check told: (versions, error), after the application has gone on meanwhile."""
    told = []
    install.checkInChildProcess(lambda versions, error=None: told.append((versions, error)))
    assert told == [], "nobody has waited for it"
    end = time.monotonic() + 60
    while not told:
        assert time.monotonic() < end
        qt_stand_in.application().processEvents()
    return told[0]


def test_the_check_in_a_fresh_process_tells_the_versions_and_nobody_waits_for_it(install, qt):
    assert checked(install) == ("2.9 1.6", None)


def test_packages_that_do_not_work_in_a_fresh_process_are_told(install, monkeypatch, qt):
    monkeypatch.setattr(install, "CHECK", "import torch_that_is_broken")
    versions, error = checked(install)
    assert versions == "" and "torch_that_is_broken" in str(error) and "Restart" in str(error)


def test_slicer_5_10_checks_with_the_function_that_it_has(install, monkeypatch):
    events, told, launch = [], [], slicer.util.launchConsoleProcess

    def of_5_10(args, useStartupEnvironment=True, updateEnvironment=None, cwd=None):
        return launch(args, useStartupEnvironment, updateEnvironment, cwd)

    monkeypatch.setattr(slicer.util, "launchConsoleProcess", of_5_10)
    monkeypatch.setattr(slicer.app, "processEvents", lambda: events.append(1))
    install.checkInChildProcess(lambda versions, error=None: told.append((versions, error)))
    assert told == [("2.9 1.6", None)] and events


def test_a_package_that_is_too_old_counts_as_missing_and_is_told_with_its_version(monkeypatch, tmp_path):
    install_stand_ins(slicer.vtkMRMLScene(), tmp_path)
    module = importlib.import_module("NeckFracLib.install")
    installed = {"torch": "2.5.1+cu121", "monai": "1.4.0rc1", "safetensors": "0.5.3", "jinja2": "3.1.6"}
    monkeypatch.setattr(module, "_isMissing", lambda name: name not in installed)
    monkeypatch.setattr(module, "_version", lambda name: installed.get(name, ""))
    assert module.missingPackages() == ["torch"]
    installed.update(torch="2.6.0+cpu", safetensors="0.10.0")
    assert module.missingPackages() == []
    del installed["monai"]
    installed["torch"] = "1.13"
    assert module.inWords(module.missingPackages()) == "torch (1.13 is too old), monai"
    folder = REQUIREMENTS.parent
    for name, oldest in module.PACKAGES.items():
        file = folder / ("requirements-torch.txt" if name == "torch" else "requirements.txt")
        assert f"{name}>={oldest}" in file.read_text(encoding="utf-8").split("\n"), "one minimum, written twice"


def test_what_is_to_be_renewed_is_not_held_at_its_version(monkeypatch, tmp_path):
    install_stand_ins(slicer.vtkMRMLScene(), tmp_path)
    module = importlib.import_module("NeckFracLib.install")
    monkeypatch.setattr(module, "_version", lambda name: "1.0")
    assert "torch==1.0" in module._versionsToKeep() and "torch" not in module._versionsToKeep({"torch"})


def test_who_declines_slicers_question_has_made_no_error(install, pip_ensure, monkeypatch):
    def declines(*_, **__):
        raise RuntimeError("User declined installation")

    monkeypatch.setattr(sys.modules["slicer.packaging"], "pip_ensure", declines)
    monkeypatch.setattr(install, "missingPackages", lambda: ["monai"])
    with pytest.raises(install.Declined):
        install.install()


def test_requirements_have_lower_bounds_only_and_no_torchvision():
    lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").split("\n") if line and line[0] != "#"]
    assert lines and all(">=" in line and "==" not in line and "<" not in line for line in lines)
    assert not any(line.startswith("torch") for line in lines)


def test_without_network_everything_comes_from_a_folder_of_wheels(install, pip_ensure, monkeypatch, tmp_path):
    monkeypatch.setenv("NECKFRAC_WHEELS", str(tmp_path))
    asked, installed = [], []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or True)
    monkeypatch.setattr(slicer.util, "pip_install", installed.append)
    install.install()
    assert not pip_ensure and len(asked) == 2 and all(str(tmp_path) in text for text in asked)
    for arguments, name in zip(installed, ("torch>=", "monai>="), strict=True):
        assert arguments[:3] == ["--no-index", "--find-links", str(tmp_path)] and "--constraint" in arguments
        assert any(argument.startswith(name) for argument in arguments)


def test_a_folder_too_deep_for_windows_is_told_before_anything_is_installed(install, pip_ensure, monkeypatch):
    monkeypatch.setattr(install.os, "name", "nt")
    monkeypatch.setattr(install, "_longPathsAllowed", lambda: False)
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: "C:\\" + "x" * 150)
    monkeypatch.setattr(install, "requirementsPath", lambda name="": pytest.fail("it must not come to this"))
    with pytest.raises(install.InstallError, match="too long"):
        install.install()
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: "C:\\Slicer")
    assert install.reasonAgainstInstalling() is None
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: "C:\\" + "x" * 150)
    monkeypatch.setattr(install, "_longPathsAllowed", lambda: True)
    assert install.reasonAgainstInstalling() is None


def test_highdicom_comes_on_the_first_dicom_export_only(install, pip_ensure, monkeypatch):
    monkeypatch.setattr(install, "missingForDicom", lambda: [])
    install.installForDicom()
    assert not pip_ensure
    answers = [["highdicom"], []]
    monkeypatch.setattr(install, "missingForDicom", lambda: answers.pop(0))
    install.installForDicom()
    assert any(line.startswith("highdicom>=") for line in pip_ensure["requirements"])
    assert "pydicom==" in pip_ensure["constraints"], "Slicer's own stays"
    monkeypatch.setattr(install, "missingForDicom", lambda: ["highdicom"])
    with pytest.raises(install.InstallError, match="highdicom"):
        install.installForDicom()
