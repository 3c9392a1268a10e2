"""The store's file: its tables, and how one of an earlier version becomes one of this."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pygent.errors import PygentError

SCHEMA_VERSION = 4
SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, folder TEXT, updated_at INTEGER NOT NULL, task_id TEXT, owner TEXT,
    title TEXT NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions (updated_at DESC, id DESC);
CREATE TABLE events (
    session_id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    turn_id TEXT, task_id TEXT, body BLOB NOT NULL, PRIMARY KEY (session_id, seq)
) WITHOUT ROWID;
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, parent TEXT, status TEXT NOT NULL, owner TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL
) WITHOUT ROWID;
"""
MIGRATIONS = {
    1: """
CREATE INDEX tasks_by_status ON tasks (status, owner, id);
CREATE TABLE snapshots (tree TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE mail (number INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX mail_by_session ON mail (session_id, number)
""",
    2: "CREATE INDEX tasks_by_parent ON tasks (parent, id)",
    3: """
CREATE TABLE asked (
    id TEXT PRIMARY KEY, session_id TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL,
    body BLOB NOT NULL, reply BLOB, said_by TEXT
)
""",
}
"""What brings a file of a version to the next one."""


class Database(sqlite3.Connection):
    """The open file; what can't be read or written is a PygentError `conflict`, like any refusal."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """As of `sqlite3`, which keeps its word for rows that are there already (`IntegrityError`)."""
        return self._told(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        """As `execute`."""
        return self._told(super().executemany, *arguments)

    def _told(self, run: Callable[..., sqlite3.Cursor], *arguments: Any) -> sqlite3.Cursor:
        try:
            return run(*arguments)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            fix = "Free disk space, or see who holds the file."
            raise PygentError("conflict", f"The store can't be used: {error}.", fix) from error


class Transaction:
    """A write transaction that waits for its turn before it reads, so that two claims can't cross."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # SQLite has ended some by itself, such as one that found no room
                self._db.execute("ROLLBACK")


class Records:
    """A part of the store: the open file."""

    _db: sqlite3.Connection

    def _transaction(self) -> Transaction:
        return Transaction(self._db)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file and bring it to this version's schema."""
    path.touch(mode=0o600)  # the files beside it, which SQLite makes, get its mode
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError):
            file.chmod(0o600)
    db = sqlite3.connect(path, isolation_level=None, timeout=10, factory=Database)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    with Transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"a newer Pygent wrote it (version {version})")
        steps = [SCHEMA] if version == 0 else []
        steps += [MIGRATIONS[number] for number in range(version or 1, SCHEMA_VERSION)]
        for statement in ";".join(steps).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    return db
