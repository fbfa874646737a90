"""Where the engine (the package `neckfrac`) lies, in an installed extension and in a clone."""

import importlib.util
import shutil
import sys
from pathlib import Path

import slicer


def enginePath():
    """The folder that holds the package `neckfrac`; RuntimeError when it is absent."""
    moduleFolder = Path(__file__).resolve().parents[1]
    candidates = [moduleFolder]  # CMake puts the engine beside the module
    if len(moduleFolder.parents) > 1:
        candidates.append(moduleFolder.parents[1] / "NeckFracExtension")  # a clone
    for candidate in candidates:
        if (candidate / "neckfrac" / "__init__.py").is_file():
            return candidate
    raise RuntimeError(f"The package neckfrac was not found in {' or '.join(map(str, candidates))}.")


def ensureEngine():
    """Make `import neckfrac` work in this process."""
    if importlib.util.find_spec("neckfrac") is None:
        sys.path.append(str(enginePath()))
        importlib.invalidate_caches()


def pythonExecutable():
    """The Python that child processes run: PythonSlicer in Slicer, else the running interpreter."""
    home = getattr(slicer.app, "slicerHome", None)
    return shutil.which("PythonSlicer") or shutil.which("PythonSlicer", path=f"{home}/bin") or sys.executable
