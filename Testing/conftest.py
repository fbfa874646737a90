"""What several folders of tests share."""

import pytest
from hypothesis import settings

# How long an example takes says what else the machine does, not what the code does.
settings.register_profile("neckfrac", deadline=None)
settings.load_profile("neckfrac")


@pytest.fixture(scope="module")
def one_thread():
    """Small tensors: more threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of bundles whose networks are tiny and know nothing."""
    from tiny_networks import write_models

    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def undrawn(monkeypatch):
    """What is drawn is no subject here, and takes the most time."""
    import numpy as np

    monkeypatch.setattr("neckfrac.output.pictures.panels", lambda analysis: np.zeros((64, 64, 3), np.uint8))
    monkeypatch.setattr("neckfrac.output.pictures.overview", lambda analysis, picture: picture)
    monkeypatch.setattr("neckfrac.output.report.report", lambda analysis, picture: "<!doctype html>")


@pytest.fixture
def run(capsys):
    """Runs the command in this process; gives its exit code, standard output and standard error."""

    from neckfrac.cli import main

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return (ended.value.code or 0, *capsys.readouterr())

    return run
