"""The chief figures of an evaluation in words, for the model card of each member of the ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neckfrac.provenance import Provenance

from .kinds import PATIENTS

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks


def record_fractures(networks: Networks, result: dict[str, Any]) -> None:
    """Write the figures into the model card of every member that was measured: its own and the ensemble's.

    Raises InputError when a bundle's weights are not those that were measured.
    """
    from neckfrac.bundles.bundle import record_measured

    on = Provenance.PATIENTS if result["kind"] == PATIENTS else Provenance.SIMULATED

    for bundle in networks.bundles.values():
        if bundle.name in result["members"]:
            record_measured(bundle.folder, result["bundles"][bundle.name], in_words(result, bundle.name), on)


def in_words(result: dict[str, Any], name: str) -> dict[str, str]:
    """What the card of the member `name` tells: 95 % intervals, baselines beside, undefined figures said to be so."""
    ensemble, own = result["ensemble"], result["members"][name]
    counts = {subject: f"{ensemble[subject]['fractured']} of {ensemble[subject]['n']} fractured" for subject in _BOTH}
    words = {
        "Measured with": f"`{result['command']}`, {result['on']}, {result['studies']} studies",
    }
    for subject, title in _BOTH.items():
        for who, answers in (("this network alone", own), ("the ensemble", ensemble)):
            figures = answers[subject]
            point = figures["operating points"]["balanced"]
            words[f"{title}, {who}"] = (
                f"AUC {_told(figures['auc'])}; sensitivity at 90 % specificity "
                f"{_told(figures['sensitivity at 90% specificity'])}; balanced point: sensitivity "
                f"{_told(point['sensitivity'])}, specificity {_told(point['specificity'])}, F2 {_told(point['f2'])}; "
                f"ECE {_number(figures['ece'])}, Brier {_number(figures['brier'])} ({counts[subject]})"
            )
        base = ensemble[subject]["baselines"]
        words[f"{title}, baselines"] = "; ".join(
            f"{kind}: AUC {_told(base[kind]['auc'])}, sensitivity {_number(base[kind]['sensitivity']['value'])}, "
            f"specificity {_number(base[kind]['specificity']['value'])}, F2 {_number(base[kind]['f2']['value'])}"
            for kind in base
        )
    loss = ensemble["competition loss"]
    words["RSNA 2022 competition loss"] = (
        f"this network alone {_told(own['competition loss'])}, the ensemble {_told(loss)}; best constant "
        f"{_number(loss['best constant'])}, 0.5 throughout {_number(loss['0.5 throughout'])}"
    )
    boxes = ensemble["boxes"]
    if boxes["studies"] and boxes["ensemble"]["sensitivity"]:
        everywhere = next(iter(boxes["baselines"].values()))
        words["Boxes of the ensemble"] = (
            f"{boxes['ensemble']['sensitivity']['1']:.2f} of {boxes['ensemble']['fractures']} fractures hit at one "
            f"false positive a study (overlap above 0.2); a box around every vertebra hits "
            f"{_number(everywhere['sensitivity']['rate'])} at {_number(everywhere['false positives a study'])}"
        )
    missed = result["levels missed"]
    words["Levels that the segmentation missed"] = (
        f"{missed['fractured']} fractured, {missed['intact']} intact, of {result['levels in view']} in view; they "
        "count as probability 0"
    )
    return words


_BOTH = {"levels": "Single levels", "patient": "Patients"}


def _told(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "undefined"
    if not figure["interval"]:
        return f"{figure['value']:.2f}"
    return "{:.2f} ({:.2f} to {:.2f})".format(figure["value"], *figure["interval"])


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
