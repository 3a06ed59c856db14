"""The tables of the release store, and its transactions on SQLite and Postgres."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()
CHAMPION = sa.Table(
    "champion",
    METADATA,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
)
JOURNAL = sa.Table(
    "journal",
    METADATA,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Column("version", sa.Integer),
    sa.Column("previous", sa.String(64)),
    sa.Column("verdict", sa.JSON),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
MODELS = sa.Table(
    "models",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
)
# Append-only is a promise of the database, not of the callers' good manners.
for _operation in ("UPDATE", "DELETE"):
    sa.event.listen(
        JOURNAL,
        "after_create",
        sa.DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER journal_keeps_{_operation.lower()} BEFORE {_operation} ON journal "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )
    sa.event.listen(
        JOURNAL,
        "after_create",
        sa.DDL(  # type: ignore[no-untyped-call]
            f"CREATE RULE journal_keeps_{_operation.lower()} AS ON {_operation} TO journal "
            "DO INSTEAD NOTHING"
        ).execute_if(dialect="postgresql"),
    )


def open_engine(url: str) -> sa.Engine:
    """An engine on the database, its tables made where there are none; keeps nothing open."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _leave_transactions_to_us)
        sa.event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('perennial'))"))
        METADATA.create_all(connection)
    return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    """Without this, Python's driver begins late, and two writers both read before they write."""
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout = 30000")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
