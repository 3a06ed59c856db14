"""Served replies and what people said of them, durable before anybody is answered."""

from __future__ import annotations

import datetime
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dialogue.records import Turn

Opinion = Literal["up", "down"]

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    user TEXT,
    conversation TEXT,
    messages TEXT NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    num_prompt_tokens INTEGER NOT NULL,
    num_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS ratings (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    reply_id TEXT NOT NULL REFERENCES replies (id),
    time TEXT NOT NULL,
    opinion TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ratings_by_reply ON ratings (reply_id);
"""
_COLUMNS = (
    "id",
    "time",
    "model",
    "version",
    "digest",
    "user",
    "conversation",
    "messages",
    "text",
    "finish_reason",
    "num_prompt_tokens",
    "num_tokens",
    "seconds",
)
_NAMES = ", ".join(_COLUMNS)
_MARKS = ", ".join("?" * len(_COLUMNS))


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as it was served: to what, by which model, and how long it took.

    `history` is what the model was asked to continue; `user` and `conversation` are whatever the
    client calls them. `finish_reason` is `stop`, `length`, `stop_string` where one that the client
    gave cut the reply off, or `cancelled` where the client left.
    """

    id: str
    time: str
    model: str
    version: str
    digest: str
    user: str | None
    conversation: str | None
    history: tuple[Turn, ...]
    text: str
    finish_reason: str
    num_prompt_tokens: int
    num_tokens: int
    seconds: float

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The dialogue with the reply as its last turn."""
        return (*self.history, Turn("assistant", self.text))


@dataclass(frozen=True, slots=True)
class Rating:
    """What somebody thought of a reply, and why."""

    reply_id: str
    time: str
    opinion: Opinion
    reason: str


class ReplyStore:
    """An SQLite file of replies and ratings, both append-only; usable from any thread.

    Whatever a method wrote is on the disk when it returns. Several processes may hold the same
    file open.
    """

    def __init__(self, path: Path) -> None:
        """Open the store, making file and tables where there are none.

        Raises:
            ValueError: the file is no such store, or cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode only FULL syncs every commit; NORMAL may lose the last ones.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(_TABLES)
        except sqlite3.Error as error:
            damaged = error.sqlite_errorcode & 0xFF in _DAMAGED
            mend = "move it away" if damaged else "see that it can be read and written"
            raise ValueError(f"{path}: cannot be used for feedback: {error}; {mend}") from None

    def add_answer(self, answer: Answer) -> None:
        """Keep a served reply; one that was cancelled before it said anything is none.

        Raises:
            OSError: it could not be written, for want of space or otherwise.
        """
        if answer.finish_reason == "cancelled" and not answer.text:
            return
        messages = [{"role": turn.role, "content": turn.text} for turn in answer.history]
        kept = {"messages": json.dumps(messages, ensure_ascii=False)}
        row = tuple(kept.get(name) or getattr(answer, name) for name in _COLUMNS)
        self._write(f"INSERT INTO replies ({_NAMES}) VALUES ({_MARKS})", row)  # noqa: S608 - constants

    def add_rating(
        self, reply_id: str, opinion: Opinion, reason: str
    ) -> tuple[Rating, Rating | None]:
        """Keep an opinion of a served reply; a later one of the same reply replaces it.

        An opinion that is repeated without a reason keeps the one it had. Returns the rating, and
        the one it replaces.

        Raises:
            LookupError: no such reply was served.
            OSError: it could not be written, for want of space or otherwise.
        """
        assert opinion in get_args(Opinion)
        with self._lock:
            before = self._ratings("WHERE reply_id = ?", (reply_id,)).get(reply_id)
            if before is not None and before.opinion == opinion:
                reason = reason or before.reason
            rating = Rating(reply_id, now(), opinion, reason)
            try:
                self._write(
                    "INSERT INTO ratings (reply_id, time, opinion, reason) VALUES (?, ?, ?, ?)",
                    (reply_id, rating.time, opinion, reason),
                )
            except sqlite3.IntegrityError:
                raise LookupError(f"no reply `{reply_id}` was served here") from None
        return rating, before

    def answer(self, reply_id: str) -> Answer | None:
        """One served reply by its id."""
        return next(self._answers("WHERE id = ?", (reply_id,)), None)

    def answers(self) -> Iterator[Answer]:
        """Every served reply, oldest first."""
        return self._answers("ORDER BY sequence", ())

    def ratings(self) -> dict[str, Rating]:
        """The last word on every rated reply, by its id, in the order of the first word."""
        return self._ratings("", ())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _write(self, statement: str, row: tuple[Any, ...]) -> None:
        try:
            with self._lock, self._connection:
                self._connection.execute(statement, row)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise OSError(f"the feedback store cannot be written: {error}") from error

    def _answers(self, rest: str, values: tuple[str, ...]) -> Iterator[Answer]:
        rows = self._read(f"SELECT {_NAMES} FROM replies {rest}", values)  # noqa: S608 - constants
        return (_answer(row) for row in rows)

    def _ratings(self, rest: str, values: tuple[str, ...]) -> dict[str, Rating]:
        columns = "reply_id, time, opinion, reason"
        rows = self._read(f"SELECT {columns} FROM ratings {rest} ORDER BY sequence", values)  # noqa: S608 - constants
        return {row[0]: Rating(*row) for row in rows}

    def _read(self, statement: str, values: tuple[str, ...]) -> list[Any]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"the feedback store cannot be read: {error}") from error


def now() -> str:
    """The time as it is written down: ISO 8601, UTC, milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _answer(row: tuple[Any, ...]) -> Answer:
    values = dict(zip(_COLUMNS, row, strict=True))
    messages = json.loads(values.pop("messages"))
    history = tuple(Turn(message["role"], message["content"]) for message in messages)
    return Answer(history=history, **values)
