"""`pip install .`, not editable: the package is built, installed elsewhere and used there, without the repository."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("Models", "SampleData", "Terminology", "Web")
# Neither may help the installed package to find what it does not hold.
HELPERS = ("PYTHONPATH", "NECKFRAC_RESOURCES", "NECKFRAC_USER_MODELS")


def run(*command, cwd, **more):
    environment = {key: value for key, value in os.environ.items() if key not in HELPERS} | more
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(*places):
    """The files of the repository below these places, as a clone would have them."""
    out = run("git", "ls-files", "-co", "--exclude-standard", *places, cwd=ROOT)
    return [name for name in out.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a build needs, so that nothing is written into the repository."""
    folder = tmp_path_factory.mktemp("source")
    for name in listed("NeckFracExtension", "Resources", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out)
    run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=out)
    (file,) = out.glob("neckfrac-*.whl")
    return file


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of a fresh environment with the wheel, and this environment's libraries after it."""
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(folder)
    program = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    options = ("--no-deps", "--no-index", "--quiet")
    run(sys.executable, "-m", "pip", "--python", program, "install", *options, wheel, cwd=folder)
    own = Path(run(program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A folder that is named in a .pth file comes last, and its own .pth files, the editable NeckFrac's, are not read.
    (own / "libraries.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    return program


def test_the_wheel_holds_the_code_and_what_it_needs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {name.removeprefix("NeckFracExtension/") for name in listed("NeckFracExtension")} - {"CMakeLists.txt"}
    resources = {
        name.replace("Resources/", "neckfrac/_resources/", 1) for name in listed(*(f"Resources/{f}" for f in FOLDERS))
    }
    assert any(name.endswith("model.safetensors") for name in resources)
    assert names == code | resources


def test_a_wheel_built_twice_forgets_what_has_gone_from_the_resources(source, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.safetensors", "Web", "*.nrrd", "build"))
    gone = copy / "Resources" / "Models" / "gone" / "note.txt"
    gone.parent.mkdir()
    gone.write_text("a network that was removed", encoding="utf-8")
    build = (sys.executable, "setup.py", "--quiet", "build")
    run(*build, cwd=copy)
    built = copy / "build" / "lib" / "neckfrac" / "_resources" / "Models"
    assert (built / "gone" / "note.txt").is_file()
    shutil.rmtree(gone.parent)
    run(*build, cwd=copy)
    assert built.is_dir() and not (built / "gone").exists()


def test_a_source_distribution_holds_what_the_wheel_is_built_from(source, tmp_path):
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(tmp_path)!r}))"
    run(sys.executable, "-c", code, cwd=source)
    (file,) = tmp_path.glob("neckfrac-*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    needed = set(listed("NeckFracExtension", *(f"Resources/{folder}" for folder in FOLDERS), "setup.py"))
    assert needed - names == {"NeckFracExtension/CMakeLists.txt"}


SEEN = """
import json, sys
import neckfrac
light = sorted({"torch", "numpy", "SimpleITK"} & set(sys.modules))
from neckfrac.bundles.library import installed, model_folders
from neckfrac.demo import sample_paths
from neckfrac.resources import resources_dir
sample = neckfrac.read_study(sample_paths()[0])
print(json.dumps({
    "package": neckfrac.__file__,
    "heavy": light,
    "resources": str(resources_dir()),
    "networks": [bundle.name for bundle in installed(model_folders()[:1])],
    "sample": list(sample.volume.shape),
    "terms": (resources_dir() / "Terminology" / "NeckFrac.term.json").is_file(),
}))
"""


def test_the_installed_package_finds_its_networks_and_its_sample_elsewhere(python, tmp_path):
    seen = json.loads(run(python, "-c", SEEN, cwd=tmp_path))
    environment = python.parents[1].resolve()
    assert Path(seen["package"]).resolve().is_relative_to(environment)
    assert Path(seen["resources"]).resolve().is_relative_to(environment)
    published = {path.name for path in (ROOT / "Resources" / "Models").glob("neckfrac-*")}
    assert set(seen["networks"]) == published and len(seen["networks"]) == len(published)
    assert seen["sample"] == [170, 150, 150] and seen["terms"] and seen["heavy"] == []


def command_of(python):
    return python.with_name("neckfrac.exe" if os.name == "nt" else "neckfrac")


def test_the_installed_command_lists_its_networks(python, tmp_path):
    assert run(command_of(python), "--version", cwd=tmp_path).startswith("NeckFrac ")
    own = {"NECKFRAC_USER_MODELS": str(tmp_path / "none")}
    rows = json.loads(run(command_of(python), "models", "list", "--json", cwd=tmp_path, **own))["networks"]
    assert {row["name"] for row in rows} == {path.name for path in (ROOT / "Resources/Models").glob("neckfrac-*")}
    assert all(row["checked"] and not row["error"] and not row["own"] for row in rows)


@pytest.mark.slow
def test_the_installed_demo_analyses_its_sample(python, tmp_path):
    told = run(command_of(python), "demo", "--output", "result", cwd=tmp_path, COLUMNS="80")
    assert "simulated" in told
    findings = json.loads((tmp_path / "result" / "findings.json").read_text(encoding="utf-8"))
    assert [level["level"] for level in findings["levels"]] == [f"C{number}" for number in range(1, 8)]
    assert any(level["probability"] is not None for level in findings["levels"])
