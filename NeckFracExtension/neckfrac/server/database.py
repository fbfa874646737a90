"""The tables, on SQLite for one machine or on Postgres for many."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
)

RECEIVING, QUEUED, RUNNING = "receiving", "queued", "running"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
UNFINISHED = (RECEIVING, QUEUED, RUNNING)

READ_ONLY = "neckfrac_read_only"  # execution option of connections that wait for no writer

metadata = MetaData()

# One row an analysis. Times are seconds since 1970. explains: the study that a row draws another heat map of; such a
# row has no upload of its own. attempt: counts every claim and guards the end of a job; faults: those that failed.
# closes_at: when a series that comes slice by slice is taken for complete. result: the result folder's name.
jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("explains", String(32), index=True),
    Column("state", String(12), nullable=False),
    Column("created", Double, nullable=False),
    Column("queued", Double),
    Column("started", Double),
    Column("finished", Double),
    Column("attempt", Integer, nullable=False, default=0),
    Column("faults", Integer, nullable=False, default=0),
    Column("owner", String(120)),
    Column("lease_until", Double),
    Column("stage", String(80), nullable=False, default=""),
    Column("fraction", Double, nullable=False, default=0.0),
    Column("options", JSON, nullable=False, default=dict),
    Column("files", Integer, nullable=False, default=0),
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("result", String(60)),
    Column("probability", Double),
    Column("summary", JSON),
    Column("error", JSON),
    Column("upload_key", String(64), unique=True),
    Column("series_key", String(64), index=True),
    Column("revision", Integer, nullable=False, default=1),
    Column("closes_at", Double),
    Index("jobs_by_state", "state", "queued"),
    UniqueConstraint("series_key", "revision"),  # two servers that get slices of one series make one study of it
)

# Delivery apart from the analysis: a PACS that is down does not make a study fail.
deliveries = Table(
    "deliveries",
    metadata,
    Column("job", String(32), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("next_try", Double, nullable=False),
    Column("owner", String(120)),
    Column("error", Text, nullable=False, default=""),
    Column("delivered", Double),
)

reviews = Table(
    "reviews",
    metadata,
    Column("job", String(32), primary_key=True),
    Column("level", String(4), primary_key=True),
    Column("verdict", String(12), nullable=False),
    Column("note", Text, nullable=False, default=""),
    Column("version", String(32), nullable=False),
    Column("who", String(80), nullable=False),
    Column("at", Double, nullable=False),
)

# Of a token only its SHA-256 is kept. expires: of a browser's session or a one-time link; None for a token.
tokens = Table(
    "tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("role", String(8), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Boolean, nullable=False, default=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("who", String(80), nullable=False),
    Column("role", String(8), nullable=False),
    Column("action", String(40), nullable=False),
    Column("job", String(32), index=True),
    Column("address", String(60), nullable=False, default=""),
)


def open_database(url: str) -> Engine:
    """An engine whose transactions take the write lock at once (SQLite) and survive a loss of power; makes tables."""
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
        _create_tables_on_postgres(engine)
        return engine
    engine = create_engine(url, connect_args={"timeout": 30.0, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # in WAL, NORMAL may lose the last commits with the power
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        # A transaction that reads first and then writes would fail at once when another wrote in between.
        reads = connection.get_execution_options().get(READ_ONLY)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    metadata.create_all(engine)
    return engine


def _create_tables_on_postgres(engine: Engine) -> None:
    """Several servers may start at once: one makes the tables, the others wait for it."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7321064)")
        metadata.create_all(connection)
