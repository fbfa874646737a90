"""Imports run one way: no module of the engine imports what stands above it, and none the laboratory."""

import ast
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "NeckFracExtension"
# From the ground up; what stands in one line may import its own line and those above it in this table.
LAYERS = (
    ("__init__", "anatomy", "errors", "options", "formatting", "findings", "measurement", "quantities", "volume",
     "progress", "provenance", "resources", "study_warning", "truth", "marks", "folder_lock", "native_messages",
     "level_finding", "naming", "schema_one", "validation", "workspace"),
    ("intake", "networks"),
    ("bundles",),
    ("members", "pipeline"),  # a member uses the steps' grids and crops; the pipeline runs the members
    ("comparison", "output"),
    ("api", "warm_engine", "jobs", "study_job", "batch", "worker", "terminal", "demo", "server"),
    ("commands",),
    ("cli",),
)  # fmt: skip
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}


def imports_of(file, package):
    """Every module of the project that a file imports, anywhere in it, with its full name."""
    here = (package, *file.relative_to(ENGINE / package).with_suffix("").parts)
    base = here[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = base[: len(base) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def arrows_back(package="neckfrac"):
    for file in sorted((ENGINE / package).rglob("*.py")):
        if file == ENGINE / package / "__init__.py":
            continue  # names the public API for type checkers, and imports none of it: see test_public_api.py
        own = file.relative_to(ENGINE / package).parts[0].removesuffix(".py")
        for name in imports_of(file, package):
            parts = name.split(".")
            above = parts[0] == "neckfrac" and len(parts) > 1 and LAYER_OF.get(parts[1], 0) > LAYER_OF[own]
            if above or parts[0] == "neckfrac_lab":
                yield f"{file.relative_to(ENGINE)}: {name}"


def test_every_module_of_the_engine_has_its_layer():
    there = {path.name.removesuffix(".py") for path in (ENGINE / "neckfrac").iterdir()}
    assert there - {"__pycache__", "py.typed", "findings.schema.json"} == set(LAYER_OF)


def test_no_import_of_the_engine_runs_back():
    assert list(arrows_back()) == []


@pytest.mark.parametrize(
    "line", ["from neckfrac_lab.simulate import study", "from ..server.app import x", "import neckfrac.cli"]
)
def test_an_import_that_runs_back_is_seen(line, monkeypatch, tmp_path):
    file = tmp_path / "neckfrac" / "intake" / "new.py"
    file.parent.mkdir(parents=True)
    file.write_text(f"def f():\n    {line}\n", encoding="utf-8")
    monkeypatch.setattr(f"{__name__}.ENGINE", tmp_path)
    assert len(list(arrows_back())) == 1
