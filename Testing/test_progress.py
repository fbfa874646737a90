"""The one object handed down the pipeline: stages, fractions, cancelling, warnings."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neckfrac.errors import Cancelled, InputError, NeckFracError
from neckfrac.progress import Progress
from neckfrac.study_warning import StudyWarning

fraction = st.floats(-1, 2, allow_nan=False)


def recorded():
    told = []
    return Progress(lambda *step: told.append(step)), told


def test_stages_fill_the_whole_job_one_after_the_other():
    progress, told = recorded()
    with progress.stage("A", until=0.25):
        progress.step(0.5)
    with progress.stage("B", until=1.0):
        progress.step(0.5)
    assert told == [("A", 0.0), ("A", 0.125), ("A", 0.25), ("B", 0.25), ("B", 0.625), ("B", 1.0)]


@given(st.lists(st.tuples(fraction, st.lists(fraction, max_size=4)), max_size=5))
def test_fractions_never_fall_and_stay_between_0_and_1(stages):
    progress, told = recorded()
    for until, steps in stages:
        with progress.stage("any", until=min(max(until, 0), 1)):
            for step in steps:
                progress.step(step)
    fractions = [done for _, done in told]
    assert fractions == sorted(fractions) and all(0 <= done <= 1 for done in fractions)


def test_a_share_tells_its_own_stages_within_its_bounds_and_the_job_goes_on_after_it():
    progress, told = recorded()
    share = progress.share(0.2, 0.6)
    with share.stage("within", until=0.5):
        pass
    with progress.stage("after", until=1.0):
        pass
    assert [stage for stage, _ in told] == ["within", "within", "after", "after"]
    assert [done for _, done in told] == pytest.approx([0.2, 0.4, 0.6, 1.0])


def test_a_part_keeps_the_stages_name_and_fills_its_part_of_it():
    progress, told = recorded()
    with progress.stage("members", until=0.5):
        for begin in (0.0, 0.5):
            part = progress.part(begin, begin + 0.5)
            part.step(0.0)
            part.step(0.5)
            part.warn("scan-short", "said in a part")
    assert [done for _, done in told] == pytest.approx([0.0, 0.0, 0.125, 0.25, 0.375, 0.5])
    assert {stage for stage, _ in told} == {"members"}
    assert progress.warnings == [StudyWarning("scan-short", "said in a part")]


@pytest.mark.parametrize("make", [lambda p: p, lambda p: p.share(0.1, 0.5), lambda p: p.part(0.1, 0.5)])
def test_cancelling_raises_at_the_next_step_in_the_job_and_in_its_parts(make):
    switch = []
    progress = Progress(cancelled=lambda: bool(switch))
    part = make(progress)
    part.step(0.1)
    switch.append(True)
    with pytest.raises(Cancelled) as caught:
        part.step(0.2)
    assert caught.value.exit_code == 130


def test_a_cancelled_stage_does_not_say_that_it_is_done():
    switch = []
    told = []
    progress = Progress(lambda *step: told.append(step), lambda: bool(switch))
    with pytest.raises(Cancelled), progress.stage("A", until=1.0):
        switch.append(True)
    assert told == [("A", 0.0)]


def test_an_error_in_a_stage_comes_through_and_its_time_is_kept():
    progress, told = recorded()
    with pytest.raises(ValueError, match="no luck"), progress.stage("A", until=1.0):
        raise ValueError("no luck")
    assert told == [("A", 0.0)] and progress.timings["A"] >= 0


def test_a_warning_is_kept_and_logged_once(caplog):
    progress, _ = recorded()
    with caplog.at_level(logging.WARNING, "neckfrac"):
        progress.warn("spacing-thick", "thick slices", spacing_mm=4.0)
        progress.share(0.0, 0.5).keep(None, *progress.warnings)
    assert progress.warnings == [StudyWarning("spacing-thick", "thick slices", {"spacing_mm": 4.0})]
    assert [record.message for record in caplog.records] == ["thick slices"]


def test_shares_time_their_stages_for_the_whole_job():
    progress, _ = recorded()
    with progress.share(0.0, 0.5).stage("within", until=1.0):
        pass
    assert list(progress.timings) == ["within"]


def test_an_error_says_what_where_and_what_to_do_in_this_order():
    error = InputError("It is broken.", where="a.dcm", advice="Mend it.")
    assert str(error) == "It is broken. (a.dcm) Mend it."
    assert (error.what, error.where, error.advice) == ("It is broken.", "a.dcm", "Mend it.")
    assert str(InputError("It is broken.")) == "It is broken."
    assert [kind.exit_code for kind in (NeckFracError, InputError, Cancelled)] == [1, 2, 130]
