"""Vertebrae of the RSNA 2022 data set kept on disk, study by study, beside the simulated ones."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from neckfrac.errors import InputError
from neckfrac.progress import Progress

from .cache import Sample
from .rsna import LABELS, RSNAData
from .sources import RSNA_2022, SIMULATED_RSNA, add_source

if TYPE_CHECKING:
    from neckfrac.pipeline.engine import Networks

RSNA_CACHE = "vertebrae-rsna"
STUDIES = "studies.json"
_TEMPORARY = re.compile(rf"\d{{8}}\.\d+\.tmp|{re.escape(STUDIES)}\.tmp")  # of `_write` and `_Cache.add`
MOST_GB = 20.0  # all 2,019 studies take about 14,000 samples


def fill_rsna_cache(
    folder: Path,
    runs: Path,
    networks: Networks | None,
    *,
    most_gb: float = MOST_GB,
    time_budget: float | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the samples of the studies that are not done yet into runs/cache/vertebrae-rsna; how many lie there then.

    One compressed ``.npz`` a vertebra, as `rsna_samples` makes them, for `SampleCache` to read. All levels of a study
    are held out together. ``studies.json`` tells what became of each study; one that can't be used stands there with
    the reason and is not tried again. Stops before the folder outgrows `most_gb` (10^9 bytes), and after
    `time_budget` seconds; goes on from there when run again. A study is written whole or not at all. networks: None
    passes over studies without a segmentation. Raises InputError when the data set or the cache can't be used.
    """
    deadline = None if time_budget is None else time.monotonic() + time_budget
    progress = progress or Progress()
    data = RSNAData(folder)
    if data.absent:
        text = f"{data.absent} studies of {LABELS} have no images here; they were passed over."
        progress.warn("studies-without-images", text, studies=data.absent)
    cache = _Cache(runs / "cache" / RSNA_CACHE)
    # First, so that a cache whose filling was interrupted still says where it comes from.
    add_source(cache.folder / "about.json", SIMULATED_RSNA if data.simulated else RSNA_2022)
    # What tells most comes first: a time or size limit may leave the rest out.
    uids = sorted(data.labels, key=lambda uid: (not data.has_segmentation(uid), not data.has_boxes(uid)))
    if networks is None:
        uids = [uid for uid in uids if data.has_segmentation(uid)]
    for number, uid in enumerate(uids):
        share = progress.part(number / len(uids), (number + 1) / len(uids))
        if uid in cache.studies:
            continue
        if deadline is not None and time.monotonic() > deadline:
            break
        if not cache.add(data, uid, networks, most_gb, share):
            text = f"The cache holds {cache.size / 1e9:.2f} GB; with another study it outgrows {most_gb:g} GB."
            progress.warn("cache-full", text, bytes=cache.size, most_gb=most_gb)
            break
        share.step(1.0)
    unused = sum(1 for told in cache.studies.values() if told["unused"])
    if unused:
        text = f"{unused} studies could not be used; {cache.folder / STUDIES} says why."
        progress.warn("studies-unused", text, studies=unused)
    return sum(told["samples"] for told in cache.studies.values())


class _Cache:
    """The folder with its samples. studies: by UID its number, its samples and why it is unused ("" when it is not).

    Names of samples are numbers, as `SampleCache` wants them: the level's digit, then twice the study's number, so
    that a study's levels are held out, or not, together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.tmp"):
            if _TEMPORARY.fullmatch(left.name):
                left.unlink()
        self.studies: dict[str, dict] = {}
        if (folder / STUDIES).exists():
            try:
                self.studies = json.loads((folder / STUDIES).read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError(
                    "The cache does not tell its studies.", where=folder / STUDIES, advice="Delete the folder."
                ) from error
        known = {told["number"] for told in self.studies.values()}
        self.size = 0
        for path in folder.glob("[0-9]" * 8 + ".npz"):
            # Samples of a study that was interrupted before it was told.
            if int(path.stem) % 1_000_000 // 2 in known:
                self.size += path.stat().st_size
            else:
                path.unlink()

    def add(self, data: RSNAData, uid: str, networks: Networks | None, most_gb: float, progress: Progress) -> bool:
        """Write a study's samples and tell of it; False when there is no room for them."""
        from .rsna_samples import rsna_samples

        number = len(self.studies)
        written: dict[Path, Path] = {}  # where each sample belongs, and where it waits
        samples, unused = 0, ""
        try:
            try:
                for sample in rsna_samples(data, uid, networks, progress=progress):
                    path = self.folder / f"{int(sample['level']) * 1_000_000 + 2 * number:08d}.npz"
                    written[path] = _write(path, sample)
                    progress.step(0.9)
            except InputError as error:
                unused = re.sub(r"\s+", " ", f"{error.what} {error.where or ''}").strip()
            else:
                samples, unused = len(written), "" if written else "No level lies whole in the scan."
                size = sum(temporary.stat().st_size for temporary in written.values())
                if self.size + size > most_gb * 1e9:
                    return False
                for path, temporary in written.items():
                    temporary.replace(path)
                self.size += size
        finally:
            for temporary in written.values():
                temporary.unlink(missing_ok=True)
        self.studies[uid] = {"number": number, "samples": samples, "unused": unused}
        temporary = self.folder / f"{STUDIES}.tmp"
        temporary.write_text(json.dumps(self.studies, indent=0) + "\n", encoding="utf-8")
        temporary.replace(self.folder / STUDIES)
        return True


def _write(path: Path, sample: Sample) -> Path:
    """The sample in a temporary file beside its place. Raises OSError; then nothing is left."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **sample)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
