"""ROC, reliability and free-response curve of one evaluation, as one SVG."""

from __future__ import annotations

import io
import re
from typing import Any

from ..figure import load_matplotlib

# Okabe and Ito's blue, vermilion and grey: told apart by colour-blind readers, and in grey by their lightness.
BLUE, VERMILION, GRAY = "#0072B2", "#D55E00", "0.6"


def draw_curves(result: dict[str, Any]) -> str:
    """An ``<svg>`` element that needs nothing beside it. Raises InputError when matplotlib is not installed."""
    figure = load_matplotlib()(figsize=(11.4, 3.9), layout="constrained")
    ensemble = result["ensemble"]
    roc, reliability, froc = figure.subplots(1, 3)
    _draw_roc(roc, ensemble)
    _draw_reliability(reliability, ensemble)
    _draw_froc(froc, ensemble["boxes"])
    for axes in (roc, reliability, froc):
        axes.grid(color="0.9", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    figure.supxlabel(f"{result['on']}, {result['studies']} studies", fontsize=8, color="0.35")
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # As wide as the page; the size in points would fix it.
    return re.sub(r'(<svg[^>]*?) height="[^"]*pt"', r"\1", re.sub(r' width="[^"]*pt"', "", text, count=1), count=1)


def _said(figures: dict[str, Any]) -> str:
    value, interval = figures["auc"]["value"], figures["auc"]["interval"]
    if value is None:
        return "undefined"
    return f"{value:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def _draw_roc(axes, ensemble: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], ":", color=GRAY, linewidth=1.2, label="no knowledge: always positive, constant")
    for name, color, style in (("levels", BLUE, "-"), ("patient", VERMILION, "--")):
        if curve := ensemble["roc"][name]:
            x, y, label = curve["false positive rate"], curve["sensitivity"], f"{name}, AUC {_said(ensemble[name])}"
            axes.plot(x, y, style, color=color, linewidth=1.6, label=label)
    for point, marker in (("sensitive", "^"), ("balanced", "o"), ("specific", "s")):
        found = ensemble["levels"]["operating points"][point]
        if found["sensitivity"]["value"] is not None and found["specificity"]["value"] is not None:
            x, y = 1 - found["specificity"]["value"], found["sensitivity"]["value"]
            axes.plot(x, y, marker, color=BLUE, markersize=6, markerfacecolor="white", label=f"levels, {point}")
    axes.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(fontsize=6.5, loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")


def _draw_reliability(axes, ensemble: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], ":", color=GRAY, linewidth=1.2, label="perfect calibration")
    rows = ensemble["reliability"]
    if rows:
        x = [row["mean probability"] for row in rows]
        y = [row["fractured"]["rate"] for row in rows]
        low, high = zip(*(row["fractured"]["interval"] for row in rows), strict=True)
        spread = [[b - a for a, b in zip(low, y, strict=True)], [b - a for a, b in zip(y, high, strict=True)]]
        spread = [[max(value, 0) for value in side] for side in spread]
        axes.errorbar(x, y, spread, fmt="o-", color=BLUE, markersize=4, linewidth=1.3, elinewidth=0.8, label="levels")
        for row, across, up in zip(rows, x, y, strict=True):
            axes.annotate(str(row["fractured"]["count"]), (across, up), (4, 4), textcoords="offset points", fontsize=6)
    error = ensemble["levels"]["ece"]
    title = "Reliability" if error is None else f"Reliability, ECE {error:.3f}"
    axes.set(title=title, xlabel="probability, moved to this share", ylabel="share fractured")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(fontsize=6.5, loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")


def _draw_froc(axes, boxes: dict[str, Any]) -> None:
    axes.set(title="Boxes (FROC)", xlabel="false positives a study", ylabel="fractures hit", ylim=(-0.02, 1.02))
    axes.set_xlim(0, 8)
    if not boxes.get("studies") or not boxes["ensemble"]["curve"]:
        axes.text(0.5, 0.5, "no true box to hit", transform=axes.transAxes, ha="center", color="0.35")
        return
    curve = boxes["ensemble"]["curve"]
    x, y = curve["false positives a study"], curve["sensitivity"]
    axes.plot([*x, 8.0], [*y, y[-1]], "-", color=BLUE, linewidth=1.6, drawstyle="steps-post", label="ensemble")
    name, baseline = next(iter(boxes["baselines"].items()))
    if baseline["sensitivity"]["rate"] is not None:
        axes.plot(
            baseline["false positives a study"], baseline["sensitivity"]["rate"], "x", color=VERMILION, markersize=7,
            label="a box around every vertebra",
        )  # fmt: skip
    axes.legend(fontsize=6.5, loc="upper left", frameon=True, framealpha=0.9, edgecolor="none")
