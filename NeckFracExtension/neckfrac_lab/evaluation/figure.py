"""The robustness curves as one figure of small multiples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neckfrac import DISCLAIMER
from neckfrac.errors import InputError

from .robustness import BASELINE, CONDITIONS, REAL_CONDITIONS, REAL_FILE, SIMULATED_FILE

# Okabe and Ito's blue and vermilion: told apart by colour-blind readers, and in grey by their lightness.
SOURCES = {
    SIMULATED_FILE: ("simulated CT", "#0072B2", "o", CONDITIONS),
    REAL_FILE: ("a real CT resampled", "#D55E00", "s", REAL_CONDITIONS),
}
MEASURES = {"dice": ("mean Dice", "-", "mean"), "every level right": ("every level right", "--", "rate")}
COLUMNS = 4


def draw_robustness(folder: Path) -> tuple[Path, Path]:
    """Draw what the sweeps in a folder have so far: robustness.svg and robustness.png; returns their paths.

    Raises InputError when there is no sweep in the folder, or matplotlib is not installed.
    """
    found = {name: _read(folder / name) for name in SOURCES if (folder / name).exists()}
    if not found:
        raise InputError("There is no sweep to draw.", where=folder, advice="Run: neckfrac evaluate robustness.")
    figure_class = load_matplotlib()
    names = [name for name in CONDITIONS if any(name in content["curves"] for content in found.values())]
    rows = len(names) // COLUMNS + 1  # one place more than there are panels, for the legend
    figure = figure_class(figsize=(3.1 * COLUMNS, 2.35 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes, name in zip(grid.flat, [*names, *[None] * (grid.size - len(names))], strict=True):
        if name is None:
            axes.axis("off")
        else:
            _draw_panel(axes, name, found)
    handles = {handle.get_label(): handle for axes in grid.flat for handle in axes.get_legend_handles_labels()[0]}
    legend = grid.flat[len(names)].legend(handles.values(), handles.keys(), loc="center left", frameon=False)
    legend.set_in_layout(False)  # it may reach over the empty places beside it
    title = "Segmenting and naming C1 to C7 as the scan gets worse: simulated CT"
    figure.suptitle(title if len(found) == 1 and SIMULATED_FILE in found else f"{title}, and one real CT resampled")
    figure.supxlabel(_footnote(found), fontsize=8, color="0.35")
    paths = folder / "robustness.svg", folder / "robustness.png"
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=110)
    return paths


def load_matplotlib():
    """matplotlib's Figure, which needs no display and no global state."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "The figure needs matplotlib, which is not installed.",
            advice="Run: pip install 'neckfrac[evaluate]'; the results are in the JSON already.",
        ) from error
    # Words stay words in the SVG, and the same results give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "neckfrac"})
    return Figure


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["curves"], content["sweep"]  # noqa: B018 - both must be there
        return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("These are no results of a sweep.", where=path, advice="Remove the file.") from error


def _draw_panel(axes, name: str, found: dict[str, dict[str, Any]]) -> None:
    unit = CONDITIONS[name][2]
    kinds = categories(name)
    for file, content in found.items():
        source, color, marker, conditions = SOURCES[file]
        points = with_baseline(content["curves"], name, conditions)
        for measure, (label, line, figure) in MEASURES.items():
            shown = [(p["value"], p[measure][figure]) for p in points if p[measure][figure] is not None]
            if not shown:
                continue
            x = [kinds.index(value) if kinds else value for value, _ in shown]
            y = [value for _, value in shown]
            axes.plot(
                x, y, line, color=color, marker=marker, markersize=4, linewidth=1.4, label=f"{label},\n{source}",
                markerfacecolor=color if measure == "dice" else "white",
            )  # fmt: skip
    axes.set_title(f"{name} ({unit})" if unit else name, fontsize=10)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes.grid(color="0.9", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if kinds:
        axes.set_xlim(-0.4, len(kinds) - 0.6)
        axes.set_xticks(range(len(kinds)), [kind.replace(" ", "\n") for kind in kinds])
    elif unit == "whole levels":
        axes.set_xlim(7.3, 1.7)
        axes.set_xticks(range(2, 8))


def categories(name: str) -> list[str]:
    """The values of a condition that has no numbers, in order, its baseline where it belongs; [] for others."""
    values, baseline, _ = CONDITIONS[name]
    if not isinstance(values[0], str):
        return []
    if name == "kernel":
        from neckfrac_lab.evaluation.perturbations import KERNELS

        return list(KERNELS)
    return [str(baseline), *map(str, values)]


def with_baseline(curves: dict[str, list], name: str, conditions: dict[str, tuple]) -> list[dict[str, Any]]:
    """One curve's points from left to right, the baseline among them where it is one of the condition's values."""
    if name not in conditions or name not in curves:
        return []
    points, baseline = list(curves[name]), conditions[name][1]
    if baseline is not None and curves.get(BASELINE):
        points.append({**curves[BASELINE][0], "value": baseline})
    kinds = categories(name)
    return sorted(points, key=lambda point: kinds.index(point["value"]) if kinds else point["value"])


def _footnote(found: dict[str, dict[str, Any]]) -> str:
    parts = []
    if SIMULATED_FILE in found:
        baseline = found[SIMULATED_FILE]["curves"].get(BASELINE, [{}])[0].get("studies", 0)
        parts.append(f"Simulated people: {baseline}, none seen in training. Levels at least 95 % in view count.")
    if REAL_FILE in found:
        parts.append("The real CT has no labels: its answer is held against that on the untouched scan.")
    return " ".join([*parts, DISCLAIMER])
