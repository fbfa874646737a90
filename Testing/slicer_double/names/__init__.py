"""What Slicer 5.12's Python finds on the classes of Qt, CTK and MRML widgets; the tables are made by make.py."""

import json
from functools import cache
from pathlib import Path

# Of every object: by PythonQt itself (PythonQtInstanceWrapper, and `name` for the property objectName).
BUILT_IN = {"className", "connect", "delete", "disconnect", "help", "inherits", "name"}
KINDS = ("properties", "signals", "methods", "enums")


@cache
def tables():
    """Each class with its base, properties, signals, methods and enum values."""
    read = {}
    for path in Path(__file__).parent.glob("*.json"):
        read |= json.loads(path.read_text(encoding="utf-8"))
    return read


@cache
def known(class_name):
    """What a class and those of its bases that have a table have: a set of names by kind.

    KeyError for a class that has no table.
    """
    content, found = tables()[class_name], {kind: set() for kind in KINDS}
    if content["base"] in tables():
        found = {kind: set(names) for kind, names in known(content["base"]).items()}
    for kind in KINDS:
        found[kind] |= set(content[kind])
    return found


@cache
def attributes(class_name):
    """All names that an object of the class answers to."""
    found = known(class_name)
    return found["properties"] | found["methods"] | found["enums"] | BUILT_IN


def signals(class_name):
    """The signals of a class, as `connect` takes them: "clicked(bool)"."""
    return known(class_name)["signals"]
