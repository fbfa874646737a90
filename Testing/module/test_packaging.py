import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "scripted_modules" / "NeckFrac"


def listed(variable):
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8").replace("${MODULE_NAME}", "NeckFrac")
    return set(re.search(rf"set\({variable}\s+(.*?)\)", text, re.DOTALL).group(1).split())


def test_every_script_of_the_module_is_packaged():
    there = {path.relative_to(MODULE).as_posix() for path in MODULE.rglob("*.py")}
    assert listed("MODULE_PYTHON_SCRIPTS") == there


def test_every_resource_of_the_module_is_packaged():
    there = {path.relative_to(MODULE).as_posix() for path in (MODULE / "Resources").rglob("*") if path.is_file()}
    assert listed("MODULE_PYTHON_RESOURCES") == there


def test_the_engine_and_its_resources_are_packaged_whole():
    text = (ROOT / "NeckFracExtension" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "GLOB_RECURSE" in text and "neckfrac/*.py" in text
    folders = set(re.search(r"set\(NeckFrac_RESOURCE_FOLDERS (.*?)\)", text).group(1).split())
    tracked = subprocess.run(["git", "ls-files", "Resources"], cwd=ROOT, capture_output=True, text=True, check=True)
    elsewhere = {"Screenshots", "Evaluation", "Web", "Deploy"}  # the last two are the web service's
    needed = {line.split("/")[1] for line in tracked.stdout.splitlines()} - elsewhere
    assert needed <= folders


def test_the_description_fulfils_the_extensions_index():
    description = json.loads((ROOT / "NeckFrac.json").read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url", "build_dependencies", "scm_revision"} <= set(description)
    assert description["build_dependencies"] == ["PyTorch"]
    assert description["dicom_support_rule"] == "Modality == 'CT'"
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "project(NeckFrac)" in cmake
    for name in ("HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert re.search(rf'^set\(EXTENSION_{name} "[^"\n]+"', cmake, re.MULTILINE), name
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "not a medical device" in cmake


def test_the_panel_says_research_only_and_ties_its_controls_to_parameters():
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "NeckFrac.ui").getroot()
    assert tree.find("widget").get("class") == "qMRMLWidget"
    tied = {
        prop.find("string").text
        for prop in tree.iter("property")
        if prop.get("name") == "SlicerParameterName" and prop.find("string") is not None
    }
    assert {"inputVolume", "operatingPoint", "device"} <= tied
    words = " ".join(node.text or "" for node in tree.iter("string"))
    assert "not a medical device" in words


def test_the_module_imports_nothing_heavy_at_file_scope():
    heavy = re.compile(r"^(?:from|import) (torch|monai|safetensors|SimpleITK|pydicom|neckfrac)\b", re.MULTILINE)
    for path in MODULE.rglob("*.py"):
        assert not heavy.search(path.read_text(encoding="utf-8")), path.name


def test_the_history_fits_the_extensions_index():
    packed = subprocess.run(["git", "count-objects", "-v"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sizes = dict(line.split(": ") for line in packed.splitlines())
    assert int(sizes["size"]) + int(sizes["size-pack"]) < 100 * 1024  # KiB


def test_pictures_that_pages_and_extensions_index_name_are_there_and_small():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    named = re.findall(r"Resources/[\w./-]+\.png", "".join(page.read_text(encoding="utf-8") for page in pages))
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    named += re.findall(r"/main/((?:Resources|scripted_modules)/[\w./-]+\.png)", cmake)
    assert len(named) >= 6
    for name in named:
        assert 1000 < (ROOT / name).stat().st_size < 200_000, name
    shots = {path.relative_to(ROOT).as_posix() for path in (ROOT / "Resources" / "Screenshots").iterdir()}
    assert shots <= set(named), "a picture that nothing shows"
