"""Studies that other processes read or simulate while the networks look at the ones before."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from neckfrac.errors import InputError
from neckfrac_lab.evaluation.fractures.cases import Case, simulated_cases
from neckfrac_lab.evaluation.fractures.prefetch import read_ahead, readers_for


def refused():
    raise InputError("This study can't be read.", where="there", advice="Look at it.")


def test_studies_that_other_processes_read_ahead_come_in_their_order_and_refuse_when_it_is_their_turn():
    read = [Case(str(n), partial(np.full, 3, n)) for n in range(5)]
    for readers in (0, 1, 2):
        assert [part.tolist() for part in read_ahead(read, readers)] == [[n] * 3 for n in range(5)]
        found = read_ahead([*read[:2], Case("bad", refused), *read[2:]], readers)
        assert [int(next(found)[0]) for _ in range(2)] == [0, 1]
        with pytest.raises(InputError, match="can't be read") as caught:
            next(found)
        assert (caught.value.where, caught.value.advice) == ("there", "Look at it.")
    assert not list(read_ahead([], 2))
    assert readers_for(torch.device("cuda")) >= 1 and readers_for(torch.device("cpu")) <= 1


def test_simulated_studies_can_be_sent_to_other_processes():
    first, second = pickle.loads(pickle.dumps(list(simulated_cases(2))))
    assert first.read.args[2].func is second.read.args[2].func, "whose person is built once"
