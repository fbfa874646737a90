"""The table of jobs, on SQLite and on a real Postgres: nothing is lost, nothing is done twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from neckfrac.server.database import metadata, open_database
from neckfrac.server.jobtable import JobTable, KeyTaken
from server.postgres_case import running_postgres


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'jobs.db'}")
    else:
        engine = open_database(request.getfixturevalue("postgres"))
        metadata.drop_all(engine)
        metadata.create_all(engine)
    yield engine
    engine.dispose()


class Clock:
    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def table(database, clock):
    return JobTable(database, "one", lease=60, clock=clock)


def queued(table, **options):
    identifier = table.begin(**options)
    assert table.enqueue(identifier, files=1, size=10)
    return identifier


def test_a_job_goes_from_receiving_to_done(table):
    identifier = table.begin(options={"explain": "grad-cam"})
    assert table.claim() is None
    assert table.enqueue(identifier, files=3, size=30)
    assert not table.enqueue(identifier)
    claim = table.claim()
    assert (claim.id, claim.attempt, claim.options) == (identifier, 1, {"explain": "grad-cam"})
    assert table.claim() is None
    assert table.renew(claim, "Locating", 0.3)
    assert table.get(identifier)["stage"] == "Locating"
    assert table.finish(claim, "result-1", {"probability": 0.7, "status": "positive"}, True)
    row = table.get(identifier)
    assert (row["state"], row["result"], row["probability"], row["files"]) == ("done", "result-1", 0.7, 3)


def test_jobs_are_taken_in_the_order_in_which_they_queued(table, clock):
    identifiers = []
    for _ in range(3):
        identifiers.append(queued(table))
        clock.time += 1
    assert [table.place(table.get(one)) for one in identifiers] == [1, 2, 3]
    assert [table.claim().id for _ in range(3)] == identifiers
    assert table.place(table.get(identifiers[0])) is None


def test_an_ended_lease_is_tried_again_and_the_late_attempt_changes_nothing(table, database, clock):
    other = JobTable(database, "two", lease=60, clock=clock)
    identifier = queued(table)
    late = table.claim()
    assert other.claim() is None
    clock.time += 61
    second = other.claim()
    assert (second.id, second.attempt) == (identifier, 2)
    assert not table.renew(late, "", 0.9)
    assert not table.finish(late, "result-1", {}, False)
    assert not table.fail(late, {})
    assert not table.give_back(late, fault=True)
    assert other.finish(second, "result-2", {}, False)
    assert table.get(identifier)["result"] == "result-2"


def test_after_three_faults_a_job_has_failed_with_a_reason(table, clock):
    identifier = queued(table)
    for attempt in (1, 2, 3):
        claim = table.claim()
        assert claim.attempt == attempt
        if attempt == 2:
            clock.time += 61  # its server is gone
        else:
            assert table.give_back(claim, fault=True)
    assert table.claim() is None
    row = table.get(identifier)
    assert row["state"] == "failed"
    assert "3 times" in row["error"]["what"] and row["error"]["advice"]


def test_a_job_that_fails_for_good_is_not_tried_again(table):
    identifier = queued(table)
    assert table.fail(table.claim(), {"what": "no CT"})
    assert table.claim() is None
    assert table.get(identifier)["error"] == {"what": "no CT"}


def test_a_cancelled_job_is_not_finished_by_who_runs_it(table):
    identifier = queued(table)
    claim = table.claim()
    assert table.cancel(identifier)
    assert not table.renew(claim, "", 0.5)
    assert not table.finish(claim, "result-1", {}, True)
    assert table.get(identifier)["state"] == "cancelled"
    assert not table.cancel(identifier)


def test_a_restart_takes_up_its_own_jobs_and_no_others(table, database, clock):
    other = JobTable(database, "two", clock=clock)
    mine, theirs = queued(table), queued(table)
    running = table.claim()
    others_claim = other.claim()
    assert {running.id, others_claim.id} == {mine, theirs}
    broken = table.begin()
    series = table.begin(series_key="a", closes_at=clock.time + 60)
    assert JobTable(database, "one", clock=clock).recover() == [broken]
    assert table.get(broken) is None
    assert table.get(series)["state"] == "receiving"
    assert table.get(running.id)["state"] == "queued"
    assert table.get(others_claim.id)["state"] == "running"
    assert table.get(running.id)["faults"] == 0


def test_an_upload_with_the_same_key_is_the_same_study(table):
    identifier = table.begin(upload_key="k")
    with pytest.raises(KeyTaken) as taken:
        table.begin(upload_key="k")
    assert taken.value.job == identifier


def test_a_quiet_series_queues(table, clock):
    identifier = table.begin(series_key="a", closes_at=clock.time + 60)
    assert table.close_quiet_series() == 0
    clock.time += 60
    assert table.close_quiet_series() == 1
    assert table.claim().id == identifier


def test_the_worklist_raises_positive_studies_and_lowers_none(table, clock):
    results = {"waiting": None, "low": 0.01, "high": 0.9, "higher": 0.95, "negative": 0.3}
    names = {}
    for name, probability in results.items():
        clock.time += 1
        identifier = queued(table)
        names[identifier] = name
        if probability is None:
            table.cancel(identifier)
            continue
        status = "positive" if probability > 0.5 else "negative"
        assert table.finish(table.claim(), "r", {"probability": probability, "status": status}, False)
    order = [names[row["id"]] for row in table.studies(limit=10, offset=0)]
    assert order == ["higher", "high", "waiting", "low", "negative"]
    assert [names[row["id"]] for row in table.studies(limit=1, offset=1)] == ["high"]


def test_two_dispatchers_with_four_threads_each_do_no_job_twice(database):
    tables = [JobTable(database, owner) for owner in ("one", "two")]
    identifiers = {queued(tables[0]) for _ in range(60)}
    done, lock = [], threading.Lock()

    def work(table):
        while claim := table.claim() or (table.claim() if table.counts().get("queued") else None):
            assert table.finish(claim, f"result-{claim.attempt}", {}, False)
            with lock:
                done.append(claim.id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, tables * 4))
    work(tables[0])
    assert len(done) == 60 and set(done) == identifiers


def test_removing_a_study_leaves_its_audit(table):
    identifier = queued(table)
    explanation = queued(table, explains=identifier)
    table.note_access("me", "admin", "delete", identifier, "127.0.0.1")
    for _ in range(2):
        table.fail(table.claim(), {})
    assert set(table.remove(identifier)) == {identifier, explanation}
    assert table.get(explanation) is None
    assert [row["job"] for row in table.accesses()] == [identifier]
