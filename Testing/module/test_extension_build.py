"""The extension configured, built and installed by real CMake with stand-ins for Slicer's macros."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_INS = ROOT / "Testing" / "slicer_double" / "cmake"


def run(*arguments, **options):
    finished = subprocess.run(arguments, capture_output=True, text=True, **options)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """The folder qt-scripted-modules of the installed extension."""
    if not shutil.which("cmake") or not (shutil.which("c++") and shutil.which("cc")):
        pytest.skip("CMake or a compiler, which its projects ask for, is not installed")
    folder = tmp_path_factory.mktemp("extension")
    run("cmake", "-S", str(ROOT), "-B", str(folder / "build"), f"-DSlicer_DIR={STAND_INS}", "-DBUILD_TESTING=OFF")
    run("cmake", "--build", str(folder / "build"))
    run("cmake", "--install", str(folder / "build"), "--prefix", str(folder / "installed"))
    return folder / "installed" / "lib" / "Slicer-5.12" / "qt-scripted-modules"


def files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_file_of_module_engine_and_resources_is_installed(modules):
    expected = files(ROOT / "scripted_modules" / "NeckFrac") - {"CMakeLists.txt"}
    engine = files(ROOT / "NeckFracExtension" / "neckfrac")
    # The web service runs beside Slicer, not in it.
    expected |= {f"neckfrac/{name}" for name in engine if not name.startswith("server/")}
    for name in ("Models", "SampleData", "Terminology"):
        expected |= {f"Resources/NeckFrac/{name}/{path}" for path in files(ROOT / "Resources" / name)}
    assert files(modules) == expected


def test_the_installed_engine_finds_its_networks_and_the_module_its_engine(modules):
    code = (
        "import sys, types, slicer\n"
        "slicer.app = types.SimpleNamespace(slicerHome='')\n"
        "from NeckFracLib.engine_path import enginePath, ensureEngine\n"
        "ensureEngine()\n"
        "from neckfrac.resources import resources_dir\n"
        "import neckfrac\n"
        "print(enginePath(), neckfrac.__file__, resources_dir(), sep='\\n')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(modules), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NECKFRAC_RESOURCES", None)
    pytest.importorskip("slicer")
    engine, package, resources = run(sys.executable, "-c", code, env=environment, cwd=modules).split("\n")[:3]
    assert Path(engine) == modules and Path(package).parents[1] == modules
    assert Path(resources) == modules / "Resources" / "NeckFrac"
