from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neckfrac.errors import InputError
from neckfrac.options import EXPLANATIONS, OPERATING_POINTS, AnalysisOptions

NAMES = st.text(min_size=1, max_size=8)
OPTIONS = st.builds(
    AnalysisOptions,
    operating_point=st.sampled_from(OPERATING_POINTS),
    anchors=st.booleans(),
    explain=st.sampled_from(EXPLANATIONS),
    member=st.none() | NAMES,
    device=st.sampled_from(["auto", "cpu", "cuda:1"]),
    models_dir=st.none() | st.just(Path("models")),
    threads=st.none() | st.integers(1, 64),
    leave_out=st.lists(NAMES).map(tuple),
)


@given(OPTIONS)
def test_options_come_back_equal_from_json(options):
    import json

    assert AnalysisOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@given(OPTIONS)
def test_no_option_is_lost_between_what_asks_and_what_analyses(options):
    kept = {**options.result_depends_on(), **options.engine_arguments()}
    assert AnalysisOptions.from_dict(kept) == options


@pytest.mark.parametrize(
    "wrong",
    [
        {"operating_point": "lucky"},
        {"explain": "guess"},
        {"threads": 0},
        {"threads": "two"},
        {"anchors": "yes"},
        {"leave_out": "one-name"},
        {"no_such_option": 1},
    ],
)
def test_a_value_that_no_analysis_takes_is_refused(wrong):
    with pytest.raises(InputError) as refused:
        AnalysisOptions.from_dict(wrong)
    assert str(refused.value)


def test_none_stands_for_the_default():
    assert AnalysisOptions.from_dict({"explain": None, "member": None}) == AnalysisOptions.from_dict(None)


def test_a_batch_and_the_worker_draw_the_heat_map_of_the_member_that_was_asked_for(tmp_path):
    from batch_case import FakeEngine, write_volume
    from neckfrac.jobs import JOBS, JobContext
    from neckfrac.progress import Progress

    asked = []

    class Engine(FakeEngine):
        def analyze(self, study, options, *, progress):
            asked.append((options.explain, options.member))
            return super().analyze(study, options, progress=progress)

    write_volume(tmp_path / "in" / "one.nrrd", 0.7)
    request = {
        "studies": str(tmp_path / "in"), "results": str(tmp_path / "out"),
        "options": {"explain": "grad-cam", "member": "some-member"},
    }  # fmt: skip
    JOBS["batch"].run(request, JobContext(Progress(), lambda options: Engine(), lambda event: None))
    assert asked == [("grad-cam", "some-member")]
