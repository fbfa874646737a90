"""The evaluation as one HTML file that needs nothing beside it: limits first, then figures beside their baselines."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.output.report_style import STYLE

from .boxes import FALSE_POSITIVES, HIT
from .figure import draw_curves
from .metrics import FEW, PREVALENCE, SPECIFICITIES
from .pictures import FOLDER, picture_name

# What the study's report has no use for: curves on a white card, baselines in grey, pictures of errors.
MORE_STYLE = """
.curves{background:#fff;border-radius:10px;padding:8px}.curves svg{width:100%;height:auto;display:block}
.curves path{stroke:none;stroke-width:1}
.curves text{fill:#222;stroke:none;font-weight:400;text-anchor:unset;paint-order:unset}
td{vertical-align:top}td small{display:block;color:var(--soft);white-space:nowrap}
tr.baseline td{color:var(--soft);font-style:italic;font-weight:400}
.errors{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:14px}
.errors img{width:100%;display:block;border-radius:8px}
.key{display:inline-block;width:14px;height:14px;border:2.5px solid;border-radius:3px;margin:0 4px 0 12px;
vertical-align:-2px}ul.limits{margin:4px 0;padding-left:20px}
"""


def write_report(result: dict[str, Any], out: Path) -> Path:
    """fractures.html in `out`. Raises InputError when matplotlib is not installed."""
    path = out / "fractures.html"
    path.write_text(report(result, out / FOLDER), encoding="utf-8")
    return path


def report(result: dict[str, Any], pictures: Path) -> str:
    """HTML of what `evaluate_fractures` found. pictures: the folder with those of the errors."""
    body = [
        _limits(result),
        _headline(result),
        f'<section><h2>Curves</h2><div class="curves">{draw_curves(result)}</div>'
        '<p class="small">Numbers beside the points of the reliability curve count levels; bars are 95 % intervals '
        "(Wilson). Marks on the ROC curve are the operating points as the program uses them.</p></section>",
        _operating_points(result),
        _levels(result),
        _boxes(result),
        _strata(result),
        _errors(result, pictures),
        _making(result),
    ]
    title = f"How well fractures are found: {result['on']}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>NeckFrac: {escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}{MORE_STYLE}</style></head>'
        f'<body><main><header><div class="title"><h1>{escape(title)}</h1>'
        f'<p class="research">{escape(DISCLAIMER)}</p></div></header>{"".join(body)}</main></body></html>\n'
    )


# --- words and tables ---------------------------------------------------------------------------


def told(figure: dict[str, Any] | None, value: str = "value", digits: int = 2) -> str:
    """A figure with its interval below it; a dash where it is undefined."""
    if not figure or figure.get(value) is None:
        return "–"
    text = f"{figure[value]:.{digits}f}"
    if figure.get("interval"):
        low, high = figure["interval"]
        text += f"<small>{low:.{digits}f} to {high:.{digits}f}</small>"
    return text


def number(value: float | None, digits: int = 2) -> str:
    """A figure without an interval; a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def table(heads: Iterable[str], rows: Iterable[tuple[str, list[str]]]) -> str:
    """An HTML table; rows: (class or "", cells). Cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f"<tr{f' class={kind}' if kind else ''}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for kind, cells in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def limits_of(result: dict[str, Any]) -> list[str]:
    """What a reader must know before any figure."""
    said = []
    if "grafted" in result["on"]:
        said.append(
            "The CT was given, the fractures in it are simulated and grafted: they come from the simulator that the "
            "networks were trained with, and the seams of a graft may give it away."
        )
    elif "simulated" in result["on"]:
        said.append(
            "All studies are simulated: necks, fractures, look-alikes and scanner come from the same simulator that "
            "the networks were trained with. Fractures of patients look different; expect less there, how much less "
            "is not known."
        )
    else:
        said.append(
            "These are studies that somebody chose and labelled: figures elsewhere will differ. Which levels lie "
            "within the scan is not always known; one outside it counts as a level in view. Boxes are judged where "
            "they were marked, and in intact studies."
        )
    share = result["fractured studies"] / result["studies"]
    said.append(
        f"{share:.0%} of the studies are fractured, likely more than where scans are read for trauma. F1, F2, "
        f"accuracy, Brier and ECE hold for that share; PPV and NPV are given for {PREVALENCE:.0%}."
    )
    levels = result["ensemble"]["levels"]
    if levels["fractured"] < 50:
        said.append(f"Only {levels['fractured']} fractured levels: the intervals are wide, and rightly so.")
    auc = levels["auc"]
    if auc["value"] is None:
        said.append("With one class only there is no AUC.")
    elif not auc["interval"] or auc["interval"][0] <= 0.5:
        said.append(
            f"The AUC of single levels ({auc['value']:.2f}) can't be told from chance (0.50): do not rely on the "
            "fracture calls of these networks."
        )
    missed = result["levels missed"]
    said.append(
        f"{result['levels in view']} levels were in view. The segmentation missed {missed['fractured']} fractured and "
        f"{missed['intact']} intact ones. {result['counted']}"
    )
    return said


def _limits(result: dict[str, Any]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in limits_of(result))
    return f'<section class="uncertain" role="note"><h2>Limits</h2><ul class="limits">{items}</ul></section>'


def _headline(result: dict[str, Any]) -> str:
    heads = ["", "AUC", "Ensemble's lead", *(f"Sensitivity at {s:.0%} specificity" for s in SPECIFICITIES)]
    heads += ["Sensitivity, balanced", "Specificity, balanced", "F2", "Brier", "ECE", "Competition loss"]
    parts = []
    respondents = {"Ensemble": result["ensemble"], **result["members"]}
    for subject, title in (("levels", "Levels"), ("patient", "Patients")):
        rows = []
        for name, answers in respondents.items():
            ahead = answers.get("lead of the ensemble")
            auc, *others = _figures(answers[subject])
            cells = [escape(name), auc, told(ahead[subject], digits=3) if ahead else "–", *others]
            rows.append(("", [*cells, told(answers["competition loss"])]))
        loss = result["ensemble"]["competition loss"]
        for name, figures in result["ensemble"][subject]["baselines"].items():
            cells = [name[0].upper() + name[1:], told(figures["auc"]), *["–"] * (1 + len(SPECIFICITIES))]
            cells += [told(figures[key]) for key in ("sensitivity", "specificity", "f2")]
            cells += [number(figures.get("brier"), 3), number(figures.get("ece"), 3)]
            cells.append(number(loss["best constant"]) if name == "constant majority" else "–")
            rows.append(("baseline", cells))
        n = result["ensemble"][subject]
        parts.append(f"<h2>{title}<small>{n['fractured']} of {n['n']} fractured</small></h2>{table(heads, rows)}")
    loss = result["ensemble"]["competition loss"]
    return (
        f"<section>{'<br>'.join(parts)}"
        f'<p class="small">95 % intervals over patients drawn with replacement (1,000 times; 200 for the loss); none '
        f"where fewer than {FEW} patients of either kind are there, and Wilson's over patients for what is 0 or 1. "
        f"Competition loss: of RSNA 2022, levels and patient together; lower is better, 0.5 throughout gives "
        f"{number(loss['0.5 throughout'], 3)}, and the constant majority's entry is the best constant for each "
        "column.</p></section>"
    )


def _figures(figures: dict[str, Any]) -> list[str]:
    balanced = figures["operating points"]["balanced"]
    return [
        told(figures["auc"]),
        *(told(figures[f"sensitivity at {s:.0%} specificity"]) for s in SPECIFICITIES),
        *(told(balanced[key]) for key in ("sensitivity", "specificity", "f2")),
        number(figures["brier"], 3),
        number(figures["ece"], 3),
    ]


def _operating_points(result: dict[str, Any]) -> str:
    at = f"at {PREVALENCE:.0%} prevalence"
    heads = ["", "Called", "Sensitivity", "Specificity", "F1", "F2", "Accuracy", f"PPV {at}", f"NPV {at}"]
    rows = []
    for subject in ("levels", "patient"):
        figures = result["ensemble"][subject]
        points = {f"{subject}, {name}": found for name, found in figures["operating points"].items()}
        points |= {f"{subject}, {name}": found for name, found in figures["baselines"].items()}
        for name, found in points.items():
            cells = [name, f"{found['called']} of {figures['n']}"]
            cells += [told(found[key]) for key in ("sensitivity", "specificity", "f1", "f2", "accuracy")]
            cells += [number(found[at][key]) for key in ("ppv", "npv")]
            rows.append(("baseline" if any(name.endswith(b) for b in figures["baselines"]) else "", cells))
    return (
        f"<section><h2>Operating points of the ensemble</h2>{table(heads, rows)}"
        '<p class="small">A patient is called when any level or the patient\'s own probability reaches its threshold. '
        "A dash: nothing was called so.</p></section>"
    )


def _levels(result: dict[str, Any]) -> str:
    heads = ["Level", "In view", "Fractured", "AUC", *(f"AUC, {name}" for name in result["members"])]
    heads += [f"Sensitivity at {SPECIFICITIES[0]:.0%} specificity", "Sensitivity, balanced", "Specificity, balanced"]
    rows = []
    for level in LEVEL_NAMES:
        figures = result["ensemble"]["by level"][level]
        balanced = figures["operating points"]["balanced"]
        cells = [level, str(figures["n"]), str(figures["fractured"]), told(figures["auc"])]
        cells += [told(member["by level"][level]["auc"]) for member in result["members"].values()]
        cells.append(told(figures[f"sensitivity at {SPECIFICITIES[0]:.0%} specificity"]))
        cells += [told(balanced[key]) for key in ("sensitivity", "specificity")]
        rows.append(("", cells))
    return f"<section><h2>By level</h2>{table(heads, rows)}</section>"


def _boxes(result: dict[str, Any]) -> str:
    boxes = result["ensemble"]["boxes"]
    if not boxes["studies"] or boxes["ensemble"]["sensitivity"] is None:
        return "<section><h2>Boxes</h2><p>No fracture here has a true box.</p></section>"
    curve = boxes["ensemble"]
    cells = [
        told({"value": curve["sensitivity"][f"{s:g}"], "interval": curve["intervals"][f"{s:g}"]})
        for s in FALSE_POSITIVES
    ]
    baselines = [
        ("baseline", [escape(name), *(number(found["at false positives"].get(f"{s:g}")) for s in FALSE_POSITIVES)])
        for name, found in boxes["baselines"].items()
    ]
    heads = ["", *(f"{s:g} false positives a study" for s in FALSE_POSITIVES)]
    first = table(heads, [("", ["Ensemble", *cells]), *baselines])
    rows = [(name, found, "") for name, found in boxes["operating points"].items()]
    rows += [(name, found, "baseline") for name, found in boxes["baselines"].items()]
    second = table(
        ["Boxes shown", "PPV", "Fractures hit", "False positives a study", "Level right, of hits"],
        [
            (kind, [
                name, told(found["ppv"], "rate"), told(found["sensitivity"], "rate"),
                number(found["false positives a study"]), told(found["level agreement"], "rate"),
            ])
            for name, found, kind in rows
        ],
    )  # fmt: skip
    return (
        f"<section><h2>Boxes<small>{curve['fractures']} fractures in {curve['studies']} studies</small></h2>"
        f"{first}{second}"
        f'<p class="small">A box hits a fracture when their overlap (intersection over union, in mm³) is above '
        f"{HIT:g}; a second box on the same fracture is a false positive. Rates without interpolation.</p></section>"
    )


def _strata(result: dict[str, Any]) -> str:
    rows = []
    for name, values in result["strata"].items():
        for value, found in values.items():
            cells = [escape(name), escape(value), str(found["levels"]), str(found["fractured"])]
            rows.append(("", cells + [told(found[key]) for key in ("auc", "sensitivity", "specificity")]))
            name = ""  # told once
    heads = ["Group", "", "Levels", "Fractured", "AUC", "Sensitivity, balanced", "Specificity, balanced"]
    return (
        f"<section><h2>Where it is better and worse</h2>{table(heads, rows)}"
        '<p class="small">Kinds and severities of fractures are ranked against all intact levels, look-alikes against '
        "all fractured ones. Small groups differ by chance.</p></section>"
    )


def _errors(result: dict[str, Any], pictures: Path) -> str:
    parts = []
    for kind, title in (("missed", "Fractures missed"), ("false alarm", "Intact levels called")):
        chosen = [error for error in result["errors"] if error["kind"] == kind]
        shown = "".join(_error(error, pictures / picture_name(error["case"], error["level"])) for error in chosen)
        parts.append(f"<h2>{title}<small>the worst {len(chosen)}</small></h2><div class=errors>{shown}</div>")
    key = (
        '<p class="small">Axial and sagittal, bone window.<span class="key" style="border-color:#56b4e9"></span>the '
        'true fracture and its box<span class="key" style="border-color:#e69f00"></span>the box that was drawn</p>'
    )
    return f"<section>{'<br>'.join(parts)}{key}</section>"


def _error(error: dict[str, Any], picture: Path) -> str:
    words = f"{error['level']}, {error['probability']:.3f}, {error['case']}"
    if not picture.exists():
        return f"<figure><p>No picture was kept.</p><figcaption>{escape(words)}</figcaption></figure>"
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(words)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _making(result: dict[str, Any]) -> str:
    spine, cost = result["spine"], result["cost"]
    names = {
        "every level right": "Studies with every level right",
        "certain and wrong": "Names given as certain, though wrong",
        "names certain": "Names given as certain",
        "nothing found": "No spine found",
    }
    rows = [("", [names[key], told(spine[key], "rate")]) for key in names]
    rows += [("", [f"Seconds, {escape(stage)}", told(found, "mean", 1)]) for stage, found in cost["stages"].items()]
    rows.append(("", ["Seconds a study", told(cost["seconds"], "mean", 1)]))
    if cost["peak memory GiB"]:
        peak = cost["peak memory GiB"]
        rows.append(("", ["Peak memory of the process", f"{peak['mean']:.1f} GiB, highest {peak['highest']:.1f} GiB"]))
    rows.append(("", ["Largest study, voxels", " × ".join(map(str, cost["largest study"]))]))
    bundles = [("", [escape(name), f"<code>{sha}</code>"]) for name, sha in result["bundles"].items()]
    return (
        f"<section><h2>Spine, time and memory</h2>{table(['', ''], rows)}</section>"
        f"<section><h2>How this was made</h2><p><code>{escape(result['command'])}</code></p>"
        f"{table(['Network', 'SHA-256'], bundles)}"
        f'<p class="small">NeckFrac {escape(__version__)}. {escape(DISCLAIMER)}</p></section>'
    )
