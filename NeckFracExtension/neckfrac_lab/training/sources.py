"""Where training samples come from, and what must be said of weights trained on them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from neckfrac.provenance import Provenance


@dataclass(frozen=True)
class Source:
    """data_source, trained_on, license, references, provenance: as a bundle's metadata say them.

    license "" adds no terms.
    """

    data_source: str
    trained_on: str
    license: str = ""
    references: tuple[str, ...] = ()
    provenance: Provenance = Provenance.UNKNOWN


SIMULATED = "simulated CT only; no patient data"
MESH_CREDIT = (
    "Anatomy in part from BodyParts3D, (c) The Database Center for Life Science, CC BY-SA 2.1 Japan; "
    "the meshes are not part of this project."
)
RSNA_2022 = Source(
    "RSNA 2022: Cervical Spine Fracture Detection Dataset, Copyright RSNA, 2023. Its terms allow non-commercial use "
    "only, among it academic research and education.",
    "patients of the RSNA 2022 cervical spine data (non-commercial use only)",
    "Non-commercial use only, after the terms of the RSNA 2022 data",
    (
        "Lin HM et al. The RSNA Cervical Spine Fracture CT Dataset. Radiology: Artificial Intelligence 2023;5(5). "
        "doi:10.1148/ryai.230034",
    ),
    Provenance.PATIENTS,
)
SIMULATED_RSNA = Source(
    "Simulated neck CT in the layout of RSNA 2022; no patient data.", SIMULATED, provenance=Provenance.SIMULATED
)


def simulated_source(anatomy: str) -> Source:
    """Of a cache of simulated samples, by the anatomy that its about.json tells."""
    credit = f" {MESH_CREDIT}" if "meshes" in anatomy else ""
    return Source(f"Simulated neck CT; {anatomy} anatomy.{credit}", SIMULATED, provenance=Provenance.SIMULATED)


def read_sources(file: Path) -> list[Source]:
    """What an about.json of a cache, or the record of a training, tells; nothing when it is not there."""
    if not file.exists():
        return []
    content = json.loads(file.read_text(encoding="utf-8"))
    if "anatomy" in content:
        return [simulated_source(content["anatomy"])]
    return [_source(record) for record in content["sources"]]


def _source(record: dict[str, Any]) -> Source:
    """A source of a record, also of before its provenance was written."""
    origin = record.get("provenance") or Provenance.from_sentence(record["trained_on"])
    return Source(**{**record, "references": tuple(record["references"]), "provenance": Provenance(origin)})


def add_source(file: Path, *sources: Source) -> None:
    """Add sources to a record, which never forgets one."""
    before = read_sources(file)
    joined = list(dict.fromkeys([*before, *sources]))
    if joined == before:
        return
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text(json.dumps({"sources": [asdict(one) for one in joined]}, indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def in_metadata(sources: Iterable[Source]) -> tuple[dict[str, object], dict[str, str]]:
    """A bundle's metadata: data_source, and license and references where the sources have any; and NeckFrac's own.

    The latter are trained_on and provenance.
    """
    sources = list(sources)
    if not sources:
        return {"data_source": "Not stated."}, {"trained_on": "not stated", "provenance": Provenance.UNKNOWN}
    trained_on = list(dict.fromkeys(one.trained_on for one in sources))
    if len(trained_on) > 1:  # with patients among it, "only" and "no patient data" are not true any more
        trained_on = list(
            dict.fromkeys("simulated CT" if s.provenance is Provenance.SIMULATED else s.trained_on for s in sources)
        )
    metadata: dict[str, object] = {"data_source": " ".join(dict.fromkeys(one.data_source for one in sources))}
    terms = list(dict.fromkeys(one.license for one in sources if one.license))
    if terms:
        metadata |= {"license": "; ".join(terms), "references": [r for one in sources for r in one.references]}
    origin = reduce(Provenance.with_other, (one.provenance for one in sources))
    return metadata, {"trained_on": " and ".join(trained_on), "provenance": origin}
