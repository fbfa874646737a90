"""What happens when a graphics card runs out of memory; the running out is injected."""

import numpy as np
import pytest
import torch
from neckfrac.pipeline.memory import CPU, SMALL_BATCH, SMALLER, as_memory_allows
from neckfrac.progress import Progress
from pipeline_phantom import knowing, phantom, study

pytestmark = pytest.mark.usefixtures("one_thread")


class Greedy(torch.nn.Module):
    """A network that runs out of memory with more than `most` images at a time, or anywhere but on a CPU."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.most, self.home, self.batches = network, most, "cuda", []

    def to(self, device):
        self.home = torch.device(device).type
        return self

    def forward(self, image):
        self.batches.append(len(image))
        if len(image) > self.most and self.home != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.network(image)


@pytest.fixture
def engine(models):
    return knowing(models)


def calls(findings):
    return [(level.status, pytest.approx(level.probability, abs=1e-6)) for level in findings.levels]


@pytest.mark.parametrize("name", ["segment", "tiny-slices"])
@pytest.mark.parametrize(("most", "said"), [(SMALL_BATCH, SMALLER), (0, CPU)])
def test_less_memory_gives_the_same_result_and_one_line_that_says_so(engine, name, most, said):
    greedy = engine.networks[name] = Greedy(engine.networks[name], most)
    engine.bundles["tiny-slices"].preprocessing["step"] = 1  # more slices than a small batch
    result = engine.analyze(study(phantom()[0]))
    greedy.most = 10**6
    again = engine.analyze(study(phantom()[0]))
    assert calls(result.findings) == calls(again.findings)
    assert np.array_equal(result.labels, again.labels) and np.array_equal(result.heat, again.heat)
    assert [warning for warning in result.findings.warnings if warning.code.startswith("memory")] == [said]
    assert not any("memory" in warning for warning in map(str, again.findings.warnings))
    assert engine.batch is None and engine.device.type == "cpu"


def test_when_nothing_suffices_the_error_is_told(engine):
    def run():
        raise torch.OutOfMemoryError("no room at all")

    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        as_memory_allows(run, engine, Progress())
    assert engine.batch is None
