"""Two processes of torchrun train as one process with batches of twice the size; their checkpoint is one of its."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from neckfrac_lab.training.distributed import Ranks, distributed
from neckfrac_lab.training.loop import Schedule, Trainer
from neckfrac_lab.training.validation import Validation
from torch import nn

pytestmark = pytest.mark.usefixtures("one_thread")

ENGINE = Path(__file__).parents[2] / "NeckFracExtension"
CPU = torch.device("cpu")
SCHEDULE = Schedule(steps=8, warm_up=2, average=0.5, measure_every=2)


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def batches(*ranks):
    """Those of the ranks, one behind the other."""
    for step in range(100):
        x = torch.cat([torch.randn(4, 6, generator=torch.Generator().manual_seed(1000 * r + step)) for r in ranks])
        yield {"x": x, "y": x.sum(dim=1, keepdim=True)}


def loss(model, batch):
    return nn.functional.mse_loss(model(batch["x"]).float(), batch["y"])


def validation(rising=False):
    """rising: no measurement is better than the first, so that patience runs out after two more."""
    values = iter(range(100))
    wrong = lambda model, batch: torch.tensor(float(next(values)))  # noqa: E731
    return Validation(lambda *_: batches(9), wrong if rising else loss, [Path("00000018.npz")], 2 if rising else None)


def as_one_of_two(folder: Path) -> None:
    """What each process of torchrun runs."""
    with distributed(CPU) as ranks:
        train_as(ranks, folder)


def train_as(ranks: Ranks, folder: Path) -> None:
    trainer = Trainer(network(), SCHEDULE, folder / "t.safetensors", ranks=ranks)
    # The second one's time is over at once: the first one decides.
    options = {"time_budget": None if ranks.first else -1.0, "reduced": False}
    assert trainer.fit(batches(ranks.rank), loss, validation=validation(), until=6, **options)
    torch.save(trainer.network.state_dict(), folder / f"{ranks.rank}.pt")
    early = Trainer(network(), SCHEDULE, folder / "early.safetensors", ranks=ranks)
    assert early.fit(batches(ranks.rank), loss, validation=validation(rising=True), reduced=False)
    assert early.step == 6, early.step


def threads() -> set[str]:
    """Names of this process's threads (Linux; elsewhere none are known)."""
    return {name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")}


def test_without_torchrun_a_process_is_alone():
    with distributed(CPU) as ranks:
        assert ranks.first and ranks.size == 1 and ranks.agree(True) and not ranks.agree(False)
        whole = network()
        assert ranks.shared(whole) is whole


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    paths = os.pathsep.join(map(str, (ENGINE, Path(__file__).parent)))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, str(folder)]
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_two_processes_end_with_the_weights_of_one_that_sees_both_ones_batches(trained_by_two, tmp_path):
    one, other = (torch.load(trained_by_two / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = Trainer(network(), SCHEDULE, tmp_path / "alone.safetensors")
    alone.fit(batches(0, 1), loss, validation=validation(), until=6, reduced=False)
    for name, value in alone.network.state_dict().items():
        assert torch.equal(one[name], other[name])
        torch.testing.assert_close(one[name], value)
    resumed = Trainer(network(), SCHEDULE, trained_by_two / "t.safetensors")
    assert resumed.step == 6 and [told["step"] for told in resumed.history] == [2, 4, 6]
    assert resumed.best_at["step"] == alone.best_at["step"]
    for name, value in alone.averaged.items():
        torch.testing.assert_close(resumed.averaged[name], value)
    before = resumed.network.state_dict()["0.weight"].clone()
    assert resumed.fit(batches(0), loss, reduced=False) and resumed.step == 8
    assert not torch.equal(resumed.network.state_dict()["0.weight"], before)


if __name__ == "__main__":
    as_one_of_two(Path(sys.argv[1]))
    # A thread of the group that is still there when Python ends can abort the process.
    assert not [name for name in threads() if "gloo" in name], threads()
