"""How a study is to be analysed: one object from the panel, the command line and the service down to the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .errors import InputError

SENSITIVE, BALANCED, SPECIFIC = OPERATING_POINTS = ("sensitive", "balanced", "specific")
HEATMAP, GRAD_CAM, SMOOTH_GRAD = EXPLANATIONS = ("heat", "grad-cam", "smooth-grad")
EXPLANATION_TITLES = {HEATMAP: "Heat map", GRAD_CAM: "Grad-CAM", SMOOTH_GRAD: "SmoothGrad"}


@dataclass(frozen=True)
class AnalysisOptions:
    """Options of an analysis; cannot be built with a value that no analysis takes.

    Args:
        operating_point: Which thresholds a level is called by, one of `OPERATING_POINTS`.
        anchors: Segment T1 and the base of the skull as well.
        explain: What draws the heat map, one of `EXPLANATIONS`; boxes and probabilities stay as they are.
        member: Whose heat map, by the name of its bundle; None: the network's that weighs most.
        device: "auto", or a device as PyTorch names it.
        models_dir: Folder of bundles; None: those that come with the project, and the user's.
        threads: CPU threads; None: all cores.
        leave_out: Members that are not run, by the names of their bundles.

    Raises:
        InputError: A value is none of those that are possible.

    Example:
        >>> AnalysisOptions(operating_point="sensitive").to_dict()
        {'operating_point': 'sensitive'}
    """

    operating_point: str = BALANCED
    anchors: bool = False
    explain: str = HEATMAP
    member: str | None = None
    device: str = "auto"
    models_dir: Path | None = None
    threads: int | None = None
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.operating_point not in OPERATING_POINTS:
            advice = f"Choose {', '.join(OPERATING_POINTS)}."
            raise InputError(f"There is no operating point {self.operating_point!r}.", advice=advice)
        if self.explain not in EXPLANATIONS:
            raise InputError(
                f"There is no explanation {self.explain!r}.", advice=f"Choose {', '.join(EXPLANATIONS)}."
            )
        threads = self.threads
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise InputError(f"{threads!r} is no number of threads.", advice="Give 1 or more, or none at all.")
        if isinstance(self.leave_out, str) or not isinstance(self.anchors, bool):
            raise InputError("The options of the analysis are not understood.", advice="leave_out is a list of names.")
        # Frozen, and yet a list or a string is taken: what is kept is always a tuple and a path.
        object.__setattr__(self, "leave_out", tuple(sorted({str(name) for name in self.leave_out})))
        object.__setattr__(self, "models_dir", Path(self.models_dir) if self.models_dir else None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> AnalysisOptions:
        """What `to_dict` gave; None stands for the default. Raises InputError for an option that is not known."""
        values = {key: value for key, value in (values or {}).items() if value is not None}
        if strange := sorted({*values} - {field.name for field in fields(cls)}):
            raise InputError(f"There is no option {', '.join(map(repr, strange))} of an analysis.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """What differs from the defaults, JSON-ready."""
        chosen = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {key: _plain(value) for key, value in chosen.items()}

    def result_depends_on(self) -> dict[str, Any]:
        """What of the options a result depends on, besides the networks: those of two equal results are equal."""
        always = {"operating_point": self.operating_point, "anchors": self.anchors}
        heat = {"explain": self.explain} if self.explain != HEATMAP else {}
        return {**always, **heat, **({"member": self.member} if self.member else {})}

    def engine_arguments(self) -> dict[str, Any]:
        """Which networks, and where they run: what `pipeline.analyze.Engine` takes."""
        names = ("models_dir", "device", "threads", "leave_out")
        return {name: getattr(self, name) for name in names}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
