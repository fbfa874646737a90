"""NeckFrac: finds cervical spine fractures on CT. Research use only; not a medical device.

    import neckfrac

    analysis = neckfrac.analyze("study/")
    analysis.findings.level("C4").probability
    neckfrac.write_result(analysis, "result/")

All names of `__all__` are public; what they need (NumPy, SimpleITK, PyTorch) is imported when they are first used.
See docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
DISCLAIMER = "Research use only; not a medical device."

if TYPE_CHECKING:
    from .api import analyze as analyze
    from .api import write_result as write_result
    from .comparison.compare import Comparison as Comparison
    from .comparison.compare import compare_files as compare_files
    from .errors import Cancelled as Cancelled
    from .errors import InputError as InputError
    from .errors import NeckFracError as NeckFracError
    from .findings import Analysis as Analysis
    from .findings import Box as Box
    from .findings import Findings as Findings
    from .findings import VertebraFinding as VertebraFinding
    from .intake.many import find_studies as find_studies
    from .intake.study import Study as Study
    from .intake.study import list_series as list_series
    from .intake.study import read_study as read_study
    from .options import AnalysisOptions as AnalysisOptions
    from .pipeline.analyze import Engine as Engine
    from .progress import Progress as Progress
    from .volume import CTVolume as CTVolume

# Where each public name lies; the imports above say the same to a type checker, and a test compares the two.
_HOMES = {
    "analyze": "api",
    "write_result": "api",
    "Comparison": "comparison.compare",
    "compare_files": "comparison.compare",
    "Cancelled": "errors",
    "InputError": "errors",
    "NeckFracError": "errors",
    "Analysis": "findings",
    "Box": "findings",
    "Findings": "findings",
    "VertebraFinding": "findings",
    "find_studies": "intake.many",
    "Study": "intake.study",
    "list_series": "intake.study",
    "read_study": "intake.study",
    "AnalysisOptions": "options",
    "Engine": "pipeline.analyze",
    "Progress": "progress",
    "CTVolume": "volume",
}

__all__ = [
    "DISCLAIMER",
    "__version__",
    "Analysis",
    "AnalysisOptions",
    "Box",
    "CTVolume",
    "Cancelled",
    "Comparison",
    "Engine",
    "Findings",
    "InputError",
    "NeckFracError",
    "Progress",
    "Study",
    "VertebraFinding",
    "analyze",
    "compare_files",
    "find_studies",
    "list_series",
    "read_study",
    "write_result",
]


def __getattr__(name: str) -> object:
    """A public name, imported from its home when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
