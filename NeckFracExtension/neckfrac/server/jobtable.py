"""The durable table of jobs: who may take one, who holds it, how it ended.

Every change of state is one guarded UPDATE, so that of two that try, one succeeds, on SQLite and on Postgres.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from .database import (
    CANCELLED,
    DONE,
    FAILED,
    QUEUED,
    READ_ONLY,
    RECEIVING,
    RUNNING,
    UNFINISHED,
    audit,
    deliveries,
    jobs,
    reviews,
)

MOST_FAULTS = 3  # a study whose worker ends this often is given up
MOST_ATTEMPTS = 12  # with those that a restart of the server broke off

TRIED_OFTEN = {
    "kind": "internal",
    "what": f"The analysis was tried {MOST_FAULTS} times and broke off each time.",
    "where": "",
    "advice": "Check the machine's memory and the service's log, then send the study again.",
}


class KeyTaken(Exception):
    """An upload with this key is there already, as `job`."""

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self.job = job


@dataclass(frozen=True)
class Claim:
    """A job that this server may run, as long as it renews its lease."""

    id: str
    attempt: int
    explains: str | None
    options: dict[str, Any]


class JobTable:
    """The jobs of one database. owner: this server's name, the same again after a restart. clock: for tests."""

    def __init__(self, engine: Engine, owner: str, lease: float = 60.0, clock: Callable[[], float] = time.time) -> None:
        self.engine, self.owner, self.lease, self.now = engine, owner, lease, clock
        self._reading = engine.execution_options(**{READ_ONLY: True})

    def begin(
        self,
        *,
        options: dict[str, Any] | None = None,
        upload_key: str | None = None,
        explains: str | None = None,
        series_key: str | None = None,
        revision: int = 1,
        closes_at: float | None = None,
    ) -> str:
        """A new row, receiving; the id. Raises KeyTaken when an upload with that key is there."""
        identifier = uuid.uuid4().hex
        values = {
            "id": identifier, "state": RECEIVING, "created": self.now(), "owner": self.owner, "options": options or {},
            "upload_key": upload_key, "explains": explains, "series_key": series_key, "revision": revision,
            "closes_at": closes_at,
        }  # fmt: skip
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(jobs).values(values))
        except IntegrityError as error:
            row = self._one(select(jobs.c.id).where(jobs.c.upload_key == upload_key))
            if upload_key is None or row is None:
                raise
            raise KeyTaken(row["id"]) from error
        return identifier

    def enqueue(self, identifier: str, *, files: int = 0, size: int = 0, options: dict[str, Any] | None = None) -> bool:
        """Receiving becomes queued; call it once the files are synced. False when it was cancelled meanwhile."""
        values = {"state": QUEUED, "queued": self.now(), "owner": None, "closes_at": None}
        values |= {"files": files, "bytes": size} if files else {}
        values |= {"options": options} if options is not None else {}
        return self._change(identifier, jobs.c.state == RECEIVING, **values)

    def claim(self) -> Claim | None:
        """The job that waits longest, now running and this server's; None when none waits."""
        now = self.now()
        self._expire(now)
        waiting = select(jobs.c.id, jobs.c.attempt).where(jobs.c.state == QUEUED)
        waiting = waiting.order_by(jobs.c.queued, jobs.c.id).limit(1).with_for_update(skip_locked=True)
        with self.engine.begin() as connection:
            row = connection.execute(waiting).first()
            if row is None:
                return None
            guard = and_(jobs.c.id == row.id, jobs.c.state == QUEUED, jobs.c.attempt == row.attempt)
            values = {
                "state": RUNNING, "attempt": row.attempt + 1, "owner": self.owner, "lease_until": now + self.lease,
                "started": now, "stage": "", "fraction": 0.0,
            }  # fmt: skip
            if connection.execute(update(jobs).where(guard).values(values)).rowcount != 1:
                return None
            taken = connection.execute(select(jobs).where(jobs.c.id == row.id)).mappings().one()
        return Claim(taken["id"], taken["attempt"], taken["explains"], dict(taken["options"]))

    def renew(self, claim: Claim, stage: str, fraction: float) -> bool:
        """Hold on to a job; False when it was cancelled or is another's: then stop working at it."""
        values = {"lease_until": self.now() + self.lease, "stage": stage[:80], "fraction": fraction}
        return self._end(claim, **values)

    def finish(self, claim: Claim, result: str, summary: dict[str, Any], deliver: bool) -> bool:
        """The job is done, and so is its delivery's row; False, and nothing changed, when it is no longer ours."""
        now = self.now()
        values = {
            "state": DONE, "finished": now, "owner": None, "lease_until": None, "fraction": 1.0, "stage": "",
            "result": result, "summary": summary, "probability": summary.get("probability"),
        }  # fmt: skip
        with self.engine.begin() as connection:
            if connection.execute(update(jobs).where(self._mine(claim)).values(values)).rowcount != 1:
                return False
            if deliver:
                connection.execute(insert(deliveries).values(job=claim.id, state="waiting", tries=0, next_try=now))
        return True

    def fail(self, claim: Claim, error: dict[str, Any]) -> bool:
        """The job can't be done, whoever tries it."""
        return self._end(claim, state=FAILED, finished=self.now(), owner=None, lease_until=None, error=error)

    def give_back(self, claim: Claim, *, fault: bool) -> bool:
        """Back into the queue, at its old place; after the third fault the job has failed."""
        return self._again(self._mine(claim), fault=fault) == 1

    def recover(self) -> list[str]:
        """At a start: what this server ran before goes back into the queue; ids of uploads that broke off, now gone."""
        self._again(and_(jobs.c.state == RUNNING, jobs.c.owner == self.owner), fault=False)
        broken = and_(jobs.c.state == RECEIVING, jobs.c.owner == self.owner, jobs.c.closes_at.is_(None))
        with self.engine.begin() as connection:
            gone = list(connection.execute(select(jobs.c.id).where(broken)).scalars())
            connection.execute(delete(jobs).where(broken))
            mine = and_(deliveries.c.state == "sending", deliveries.c.owner == self.owner)
            connection.execute(update(deliveries).where(mine).values(state="waiting", owner=None))
        return gone

    def close_quiet_series(self) -> int:
        """Series without a new slice for long enough are complete: they queue."""
        now = self.now()
        quiet = and_(jobs.c.state == RECEIVING, jobs.c.closes_at <= now)
        with self.engine.begin() as connection:
            values = {"state": QUEUED, "queued": now, "owner": None, "closes_at": None}
            return connection.execute(update(jobs).where(quiet).values(values)).rowcount

    def cancel(self, identifier: str) -> bool:
        """True when it was not finished yet; whoever runs it notices at its next renewal."""
        values = {"state": CANCELLED, "finished": self.now(), "owner": None, "lease_until": None, "upload_key": None}
        return self._change(identifier, jobs.c.state.in_(UNFINISHED), **values)

    def remove(self, identifier: str) -> list[str]:
        """Delete a finished row with all that hangs on it, the audit aside; ids of all that went."""
        ended = or_(jobs.c.id == identifier, jobs.c.explains == identifier)
        with self.engine.begin() as connection:
            gone = list(connection.execute(select(jobs.c.id).where(ended)).scalars())
            connection.execute(delete(jobs).where(jobs.c.id.in_(gone)))
            connection.execute(delete(deliveries).where(deliveries.c.job.in_(gone)))
            connection.execute(delete(reviews).where(reviews.c.job.in_(gone)))
        return gone

    def get(self, identifier: str) -> dict[str, Any] | None:
        return self._one(select(jobs).where(jobs.c.id == identifier))

    def place(self, row: dict[str, Any]) -> int | None:
        """How many are before it in the queue, and itself; None when it does not wait."""
        if row["state"] != QUEUED:
            return None
        before = or_(jobs.c.queued < row["queued"], and_(jobs.c.queued == row["queued"], jobs.c.id <= row["id"]))
        count = select(func.count()).select_from(jobs).where(jobs.c.state == QUEUED, before)
        with self._reading.connect() as connection:
            return connection.execute(count).scalar_one()

    def studies(self, *, limit: int, offset: int, state: str | None = None) -> list[dict[str, Any]]:
        """Rows of studies: those that are called positive first, by probability, the rest in order of arrival.

        A study is only ever raised by its result: without one, or called negative, it keeps its place.
        """
        called = jobs.c.summary["status"].as_string() == "positive"
        raised = case((and_(jobs.c.state == DONE, called), jobs.c.probability), else_=-1.0)
        query = select(jobs).where(jobs.c.explains.is_(None))
        if state:
            query = query.where(jobs.c.state == state)
        query = query.order_by(raised.desc(), jobs.c.created, jobs.c.id).limit(limit).offset(offset)
        with self._reading.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def explanations(self, identifier: str) -> list[dict[str, Any]]:
        """Rows of the other heat maps of a study, oldest first."""
        query = select(jobs).where(jobs.c.explains == identifier).order_by(jobs.c.created)
        with self._reading.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self._reading.connect() as connection:
            return {state: number for state, number in connection.execute(query)}

    def known_ids(self) -> set[str]:
        with self._reading.connect() as connection:
            return set(connection.execute(select(jobs.c.id)).scalars())

    def note_access(self, who: str, role: str, action: str, job: str | None, address: str) -> None:
        """An audit row; it outlives the study."""
        with self.engine.begin() as connection:
            values = {"at": self.now(), "who": who, "role": role, "action": action, "job": job, "address": address}
            connection.execute(insert(audit).values(values))

    def accesses(self, limit: int = 200) -> list[dict[str, Any]]:
        """The newest audit rows first."""
        with self._reading.connect() as connection:
            rows = connection.execute(select(audit).order_by(audit.c.number.desc()).limit(limit)).mappings()
            return [dict(row) for row in rows]

    def _expire(self, now: float) -> None:
        """Jobs whose server does not renew its lease wait again."""
        late = and_(jobs.c.state == RUNNING, jobs.c.lease_until < now)
        if self._one(select(jobs.c.id).where(late).limit(1)):
            self._again(late, fault=True)

    def _again(self, which: Any, *, fault: bool) -> int:
        given_up = or_(jobs.c.faults + int(fault) >= MOST_FAULTS, jobs.c.attempt >= MOST_ATTEMPTS)
        free = {"owner": None, "lease_until": None, "faults": jobs.c.faults + int(fault), "stage": "", "fraction": 0.0}
        failed = {**free, "state": FAILED, "finished": self.now(), "error": TRIED_OFTEN}
        with self.engine.begin() as connection:
            count = connection.execute(update(jobs).where(which, given_up).values(failed)).rowcount
            return count + connection.execute(update(jobs).where(which).values({**free, "state": QUEUED})).rowcount

    def _mine(self, claim: Claim) -> Any:
        return and_(
            jobs.c.id == claim.id,
            jobs.c.state == RUNNING,
            jobs.c.attempt == claim.attempt,
            jobs.c.owner == self.owner,
        )

    def _end(self, claim: Claim, **values: Any) -> bool:
        with self.engine.begin() as connection:
            return connection.execute(update(jobs).where(self._mine(claim)).values(values)).rowcount == 1

    def _change(self, identifier: str, guard: Any, **values: Any) -> bool:
        with self.engine.begin() as connection:
            statement = update(jobs).where(jobs.c.id == identifier, guard).values(values)
            return connection.execute(statement).rowcount == 1

    def _one(self, query: Any) -> dict[str, Any] | None:
        with self._reading.connect() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else dict(row)
