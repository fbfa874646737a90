"""A few measurements of the small study of `output_case`: one flagged, one derived from two lines, one angle."""

from dataclasses import replace

import numpy as np
from neckfrac.measurement import Measurement, NormalRange, value_of
from neckfrac.quantities import QUANTITIES
from output_case import center_of, make_analysis


def made(name, levels, lines, value=None, half=0.5, normal=None, **more):
    """A measurement between lines (LPS mm), judged."""
    points = tuple(tuple(float(v) for v in point) for line in lines for point in line)
    value = value_of(name, points) if value is None else value
    return Measurement(
        name, levels, value, QUANTITIES[name].unit, value - half, value + half, points, normal, **more
    ).judged()


def measurements():
    """Heights and their ratio of C5, a slip of C4 on C5, the angle below C3 and the atlanto-dental interval."""
    c1, c3, c4, c5 = (center_of(n) for n in (0, 2, 3, 4))
    front = (c5 + (0, -6, 5), c5 + (0, -6, -5))
    back = (c5 + (0, 6, 6), c5 + (0, 6, -6))
    plates = [(c + (0, -6, -5), c + (0, 6, -5 + rise)) for c, rise in ((c3, -1.5), (c4, -1.0))]
    return (
        made("atlanto-dental", ("C1", "C2"), [(c1 + (0, -4, 0), c1 + (0, -2, 0))], normal=NormalRange(0.0, 3.0, "R")),
        made("segmental-angle", ("C3", "C4"), plates, value=2.36),
        made("listhesis", ("C4", "C5"), [(c5 + (0, 6, 8), c5 + (0, 2.2, 8))], 3.8, normal=NormalRange(-2.0, 2.0, "S")),
        made("anterior-height", ("C5",), [front]),
        made("posterior-height", ("C5",), [back]),
        made("height-ratio", ("C5",), [front, back], half=0.05, note="Of two lines."),
    )


def measured_analysis(**options):
    """`make_analysis` with `measurements`."""
    analysis = make_analysis(**options)
    return replace(analysis, findings=replace(analysis.findings, measurements=measurements()))


def near(points, others):
    """Whether points lie within a hundredth of a mm."""
    return np.allclose(np.array(points), np.array(others), atol=0.01)
