"""The curve of all thresholds of some probabilities, from which `metrics.choose` takes one."""

import numpy as np
from neckfrac_lab.evaluation.metrics import choose


def operating_curve(probabilities: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds, rising, that tell the probabilities apart, and the sensitivity and the specificity of each."""
    truths = np.asarray(truths, dtype=bool)
    values = np.unique(probabilities)
    # Half way between values, so that a threshold is not one case's own probability.
    candidates = np.concatenate([[values[0] / 2], (values[:-1] + values[1:]) / 2, [(1 + values[-1]) / 2]])
    found = (probabilities[truths] >= candidates[:, None]).mean(axis=1)
    spared = (probabilities[~truths] < candidates[:, None]).mean(axis=1)
    return candidates, found, spared


def threshold_for(probabilities: np.ndarray, truths: np.ndarray, **wanted: float) -> float:
    """The threshold that `choose` takes for what is wanted."""
    candidates, found, spared = operating_curve(probabilities, truths)
    return float(candidates[choose(found, spared, **wanted)])
