"""Made-up answers of an ensemble's members to studies that it is calibrated on."""

import numpy as np
from neckfrac.anatomy import LEVEL_NAMES
from neckfrac.pipeline.combine import LEVELS_MEMBER
from neckfrac_lab.training.calibrate import records_in


def answer(networks, runs, count=24):
    """Put made-up answers where `run_studies` would put the networks' own."""
    generator, records = np.random.default_rng(0), records_in(networks, runs)
    for n in range(count):
        truth = {name: n % 2 == 0 and name == LEVEL_NAMES[n % 7] for name in LEVEL_NAMES}
        said = {
            member: {name: float(np.clip(generator.normal(0.3 + 0.4 * truth[name], 0.1), 0.01, 0.99)) for name in truth}
            for member in networks.members
        }
        records.add({
            "case": f"simulated-90-{n:05d}", "truth": {**truth, "C7": None}, "patient truth": n % 2 == 0,
            "members": said, "patient members": {LEVELS_MEMBER: 0.5, "tiny-slices": float(generator.random())},
        })  # fmt: skip
