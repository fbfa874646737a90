"""The evaluation as one HTML file that needs nothing beside it: limits first, then figures beside their baselines."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from neckfrac import DISCLAIMER, __version__
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.output.report import templates

from .boxes import FALSE_POSITIVES, HIT
from .figure import draw_curves
from .kinds import GRAFTED, SIMULATED
from .metrics import FEW, PREVALENCE, SPECIFICITIES
from .pictures import FOLDER, picture_name


@dataclass(frozen=True)
class Figure:
    """A figure in a table, and its interval below it ("" for none)."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Row:
    """A row of texts and figures; baseline: of an answer that needs no network."""

    cells: list[str | Figure]
    baseline: bool = False


@dataclass(frozen=True)
class Part:
    """A table under a title and a remark beside it; "" for none."""

    title: str
    heads: list[str]
    rows: list[Row]
    remark: str = ""


@dataclass(frozen=True)
class Section:
    """Tables, and a note below them."""

    parts: list[Part]
    note: str = ""


def write_report(result: dict[str, Any], out: Path) -> Path:
    """fractures.html in `out`. Raises InputError when matplotlib is not installed."""
    path = out / "fractures.html"
    path.write_text(report(result, out / FOLDER), encoding="utf-8")
    return path


def report(result: dict[str, Any], pictures: Path) -> str:
    """HTML of what `evaluate_fractures` found. pictures: the folder with those of the errors."""
    frame = templates()
    own = frame.overlay(loader=jinja2.ChoiceLoader([jinja2.PackageLoader(__package__), frame.loader]))
    return own.get_template("fractures.html.j2").render(
        title=f"How well fractures are found: {result['on']}", limits=limits_of(result), headline=_headline(result),
        curves=Markup(draw_curves(result)), operating_points=_operating_points(result), levels=_levels(result),
        boxes=_boxes(result), strata=_strata(result), errors=_errors(result, pictures), cost=_cost(result),
        command=result["command"], bundles=result["bundles"], version=__version__, disclaimer=DISCLAIMER,
    )  # fmt: skip


# --- words and tables ---------------------------------------------------------------------------


def with_interval(figure: dict[str, Any] | None, value: str = "value", digits: int = 2) -> Figure:
    """A figure with its interval; a dash where it is undefined."""
    if not figure or figure.get(value) is None:
        return Figure("–")
    interval = figure.get("interval") or ()
    return Figure(f"{figure[value]:.{digits}f}", " to ".join(f"{end:.{digits}f}" for end in interval))


def number(value: float | None, digits: int = 2) -> str:
    """A figure without an interval; a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def limits_of(result: dict[str, Any]) -> list[str]:
    """What a reader must know before any figure."""
    said = []
    if result["kind"] == GRAFTED:
        said.append(
            "The CT was given, the fractures in it are simulated and grafted: they come from the simulator that the "
            "networks were trained with, and the seams of a graft may give it away."
        )
    elif result["kind"] == SIMULATED:
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


def _headline(result: dict[str, Any]) -> Section:
    heads = ["", "AUC", "Ensemble's lead", *(f"Sensitivity at {s:.0%} specificity" for s in SPECIFICITIES)]
    heads += ["Sensitivity, balanced", "Specificity, balanced", "F2", "Brier", "ECE", "Competition loss"]
    parts = []
    respondents = {"Ensemble": result["ensemble"], **result["members"]}
    for subject, title in (("levels", "Levels"), ("patient", "Patients")):
        rows = []
        for name, answers in respondents.items():
            ahead = answers.get("lead of the ensemble")
            auc, *others = _figures(answers[subject])
            cells = [name, auc, with_interval(ahead[subject], digits=3) if ahead else "–", *others]
            rows.append(Row([*cells, with_interval(answers["competition loss"])]))
        loss = result["ensemble"]["competition loss"]
        for name, figures in result["ensemble"][subject]["baselines"].items():
            cells = [name[0].upper() + name[1:], with_interval(figures["auc"]), *["–"] * (1 + len(SPECIFICITIES))]
            cells += [with_interval(figures[key]) for key in ("sensitivity", "specificity", "f2")]
            cells += [number(figures.get("brier"), 3), number(figures.get("ece"), 3)]
            cells.append(number(loss["best constant"]) if name == "constant majority" else "–")
            rows.append(Row(cells, baseline=True))
        n = result["ensemble"][subject]
        parts.append(Part(title, heads, rows, f"{n['fractured']} of {n['n']} fractured"))
    loss = result["ensemble"]["competition loss"]
    return Section(
        parts,
        f"95 % intervals over patients drawn with replacement (1,000 times; 200 for the loss); none "
        f"where fewer than {FEW} patients of either kind are there, and Wilson's over patients for what is 0 or 1. "
        f"Competition loss: of RSNA 2022, levels and patient together; lower is better, 0.5 throughout gives "
        f"{number(loss['0.5 throughout'], 3)}, and the constant majority's entry is the best constant for each "
        "column.",
    )


def _figures(figures: dict[str, Any]) -> list[str | Figure]:
    balanced = figures["operating points"]["balanced"]
    return [
        with_interval(figures["auc"]),
        *(with_interval(figures[f"sensitivity at {s:.0%} specificity"]) for s in SPECIFICITIES),
        *(with_interval(balanced[key]) for key in ("sensitivity", "specificity", "f2")),
        number(figures["brier"], 3),
        number(figures["ece"], 3),
    ]


def _operating_points(result: dict[str, Any]) -> Section:
    at = f"at {PREVALENCE:.0%} prevalence"
    heads = ["", "Called", "Sensitivity", "Specificity", "F1", "F2", "Accuracy", f"PPV {at}", f"NPV {at}"]
    rows = []
    for subject in ("levels", "patient"):
        figures = result["ensemble"][subject]
        points = {f"{subject}, {name}": found for name, found in figures["operating points"].items()}
        points |= {f"{subject}, {name}": found for name, found in figures["baselines"].items()}
        for name, found in points.items():
            cells = [name, f"{found['called']} of {figures['n']}"]
            cells += [with_interval(found[key]) for key in ("sensitivity", "specificity", "f1", "f2", "accuracy")]
            cells += [number(found[at][key]) for key in ("ppv", "npv")]
            rows.append(Row(cells, baseline=any(name.endswith(b) for b in figures["baselines"])))
    return Section(
        [Part("Operating points of the ensemble", heads, rows)],
        "A patient is called when any level or the patient's own probability reaches its threshold. A dash: nothing "
        "was called so.",
    )


def _levels(result: dict[str, Any]) -> Section:
    heads = ["Level", "In view", "Fractured", "AUC", *(f"AUC, {name}" for name in result["members"])]
    heads += [f"Sensitivity at {SPECIFICITIES[0]:.0%} specificity", "Sensitivity, balanced", "Specificity, balanced"]
    rows = []
    for level in LEVEL_NAMES:
        figures = result["ensemble"]["by level"][level]
        balanced = figures["operating points"]["balanced"]
        cells = [level, str(figures["n"]), str(figures["fractured"]), with_interval(figures["auc"])]
        cells += [with_interval(member["by level"][level]["auc"]) for member in result["members"].values()]
        cells.append(with_interval(figures[f"sensitivity at {SPECIFICITIES[0]:.0%} specificity"]))
        cells += [with_interval(balanced[key]) for key in ("sensitivity", "specificity")]
        rows.append(Row(cells))
    return Section([Part("By level", heads, rows)])


def _boxes(result: dict[str, Any]) -> Section | None:
    boxes = result["ensemble"]["boxes"]
    if not boxes["studies"] or boxes["ensemble"]["sensitivity"] is None:
        return None
    curve = boxes["ensemble"]
    cells = [
        with_interval({"value": curve["sensitivity"][f"{s:g}"], "interval": curve["intervals"][f"{s:g}"]})
        for s in FALSE_POSITIVES
    ]
    baselines = [
        Row([name, *(number(found["at false positives"].get(f"{s:g}")) for s in FALSE_POSITIVES)], baseline=True)
        for name, found in boxes["baselines"].items()
    ]
    heads = ["", *(f"{s:g} false positives a study" for s in FALSE_POSITIVES)]
    count = f"{curve['fractures']} fractures in {curve['studies']} studies"
    first = Part("Boxes", heads, [Row(["Ensemble", *cells]), *baselines], count)
    rows = [(name, found, False) for name, found in boxes["operating points"].items()]
    rows += [(name, found, True) for name, found in boxes["baselines"].items()]
    second = Part(
        "",
        ["Boxes shown", "PPV", "Fractures hit", "False positives a study", "Level right, of hits"],
        [
            Row([
                name, with_interval(found["ppv"], "rate"), with_interval(found["sensitivity"], "rate"),
                number(found["false positives a study"]), with_interval(found["level agreement"], "rate"),
            ], baseline)
            for name, found, baseline in rows
        ],
    )  # fmt: skip
    return Section(
        [first, second],
        "A box hits a fracture when their overlap (intersection over union, in mm³) is above "
        f"{HIT:g}; a second box on the same fracture is a false positive. Rates without interpolation.",
    )


def _strata(result: dict[str, Any]) -> Section:
    rows = []
    for name, values in result["strata"].items():
        for value, found in values.items():
            cells = [name, value, str(found["levels"]), str(found["fractured"])]
            rows.append(Row(cells + [with_interval(found[key]) for key in ("auc", "sensitivity", "specificity")]))
            name = ""  # said once
    heads = ["Group", "", "Levels", "Fractured", "AUC", "Sensitivity, balanced", "Specificity, balanced"]
    return Section(
        [Part("Where it is better and worse", heads, rows)],
        "Kinds and severities of fractures are ranked against all intact levels, look-alikes against all fractured "
        "ones. Small groups differ by chance.",
    )


def _errors(result: dict[str, Any], pictures: Path) -> list[dict[str, Any]]:
    """The worst of each kind of error: title, and of each what it is, with its picture or ""."""
    return [
        {
            "title": title,
            "shown": [
                {
                    "words": f"{error['level']}, {error['probability']:.3f}, {error['case']}",
                    "picture": _data_url(pictures / picture_name(error["case"], error["level"])),
                }
                for error in result["errors"]
                if error["kind"] == kind
            ],
        }
        for kind, title in (("missed", "Fractures missed"), ("false alarm", "Intact levels called"))
    ]


def _data_url(picture: Path) -> str:
    if not picture.exists():
        return ""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _cost(result: dict[str, Any]) -> Section:
    spine, cost = result["spine"], result["cost"]
    names = {
        "every level right": "Studies with every level right",
        "certain and wrong": "Names given as certain, though wrong",
        "names certain": "Names given as certain",
        "nothing found": "No spine found",
    }
    cells: list[list[str | Figure]] = [[names[key], with_interval(spine[key], "rate")] for key in names]
    cells += [[f"Seconds, {stage}", with_interval(found, "mean", 1)] for stage, found in cost["stages"].items()]
    cells.append(["Seconds a study", with_interval(cost["seconds"], "mean", 1)])
    if cost["peak memory GiB"]:
        peak = cost["peak memory GiB"]
        cells.append(["Peak memory of the process", f"{peak['mean']:.1f} GiB, highest {peak['highest']:.1f} GiB"])
    cells.append(["Largest study, voxels", " × ".join(map(str, cost["largest study"]))])
    return Section([Part("Spine, time and memory", ["", ""], [Row(row) for row in cells])])
