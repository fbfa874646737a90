"""Puts the trained networks, the sample and the other resources into the package that is installed.

All else is said in pyproject.toml. In the repository these lie in Resources, for Slicer's build to find; an installed
package has no such folder beside it, so a build copies them into the package, where `neckfrac.resources` looks.
An editable installation reads the repository's own and copies nothing.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SOURCE = "Resources"
TARGET = "neckfrac/_resources"
FOLDERS = ("Models", "SampleData", "Terminology", "Web")  # Web: the page of `neckfrac serve`


def resource_files() -> list[str]:
    """Every file that belongs into the package, relative to Resources."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / SOURCE / folder).rglob("*")) if path.is_file()]
    return [path.relative_to(ROOT / SOURCE).as_posix() for path in found]


class BuildWithResources(build_py):
    """The usual build of Python files, and the resources beside them."""

    def _targets(self) -> dict[str, str]:
        """Where each resource goes, by where it lies."""
        return {str(Path(self.build_lib, TARGET, name)): f"{SOURCE}/{name}" for name in resource_files()}

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        # What an earlier build left of a network that has since gone would be packed as well.
        shutil.rmtree(Path(self.build_lib, TARGET), ignore_errors=True)
        for target, source in self._targets().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return super().get_outputs(include_bytecode) + ([] if self.editable_mode else list(self._targets()))

    def get_output_mapping(self) -> dict[str, str]:
        return super().get_output_mapping() | ({} if self.editable_mode else self._targets())

    def get_source_files(self) -> list[str]:
        """What a source distribution must hold for this build to work from it."""
        return super().get_source_files() + [f"{SOURCE}/{name}" for name in resource_files()]


setup(cmdclass={"build_py": BuildWithResources})
