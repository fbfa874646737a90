"""The networks that can be trained: every module of `recipes`, found by its name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from . import recipes
from .task import Task

TASKS: dict[str, Task] = {
    module.name: import_module(f"{recipes.__name__}.{module.name}").TASK for module in iter_modules(recipes.__path__)
}
