"""Keeps :mod:`glmdeploy.local.state.records` in SQLite, one table per record type.

Written for one process and one thread (the daemon's event loop); other processes may read. A commit survives
``kill -9`` of the daemon: SQLite's write-ahead log with ``synchronous=NORMAL`` can only lose commits to a
failure of the machine itself, and never the database.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.state import records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = TypeVar("Row")

SCHEMA_VERSION = 1
"""Raised by one with every change of a record type; an older glmdeploy refuses a newer store."""

_SQL_TYPES: dict[Any, str] = {str: "TEXT", int: "INTEGER", float: "REAL", bytes: "BLOB"}


class Table(Generic[Row]):
    """The records of one type. ``where`` arguments are equalities on fields."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        row_type: type[Row],
        *,
        key: str = "id",
        unique: tuple[str, ...] = (),
    ) -> None:
        self._connection = connection
        self._row_type = row_type
        self._key = key
        self._unique = unique
        self._name = row_type.__name__.lower()
        hints = get_type_hints(row_type)
        self._columns = [field.name for field in fields(row_type)]  # type: ignore[arg-type]
        self._types = [hints[column] for column in self._columns]

    def create(self) -> None:
        columns = [
            f"{name} {_SQL_TYPES.get(kind, 'TEXT')} NOT NULL"
            for name, kind in zip(self._columns, self._types, strict=True)
        ]
        constraints = [f"UNIQUE ({', '.join(group)})" for group in (self._unique,) if group]
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._name} ("
            f"{', '.join([*columns, f'PRIMARY KEY ({self._key})', *constraints])})"
        )

    def put(self, row: Row) -> None:
        """Insert ``row``, or replace the one with its key."""
        self._write("INSERT OR REPLACE", row)

    def insert(self, row: Row) -> None:
        """Raises sqlite3.IntegrityError where the key or a unique group is taken."""
        self._write("INSERT", row)

    def get(self, **where: object) -> Row | None:
        return next(iter(self.all(**where)), None)

    def all(self, **where: object) -> list[Row]:
        """In the order of insertion."""
        query = f"SELECT {', '.join(self._columns)} FROM {self._name}{_condition(where)} ORDER BY rowid"
        return [self._decode(values) for values in self._connection.execute(query, list(where.values()))]

    def delete(self, **where: object) -> None:
        self._connection.execute(f"DELETE FROM {self._name}{_condition(where)}", list(where.values()))

    def _write(self, verb: str, row: Row) -> None:
        values = [
            json.dumps(value) if isinstance(value, dict) else value
            for value in (getattr(row, column) for column in self._columns)
        ]
        marks = ", ".join("?" * len(self._columns))
        self._connection.execute(f"{verb} INTO {self._name} ({', '.join(self._columns)}) VALUES ({marks})", values)

    def _decode(self, values: tuple[Any, ...]) -> Row:
        return self._row_type(
            **{
                column: value if kind in _SQL_TYPES else json.loads(value)
                for column, kind, value in zip(self._columns, self._types, values, strict=True)
            }
        )


def _condition(where: dict[str, object]) -> str:
    return f" WHERE {' AND '.join(f'{column} = ?' for column in where)}" if where else ""


class Store:
    """Every table. Outside :meth:`transaction` each call commits at once."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Raises LocalCloudError for state of a newer version, sqlite3.Error where the file is unusable."""
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA busy_timeout = 5000")
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            self._connection.close()
            raise LocalCloudError(
                f"the embedded cloud's state in {path.parent} was written by a newer version of glmdeploy",
                advice="upgrade glmdeploy, or delete that directory, with every app and volume in it",
            )

        def table(row_type: type[Row], *, key: str = "id", unique: tuple[str, ...] = ()) -> Table[Row]:
            created = Table(self._connection, row_type, key=key, unique=unique)
            tables.append(created)
            return created

        tables: list[Table[Any]] = []
        self.environments = table(records.Environment, unique=("name",))
        self.apps = table(records.App)
        self.deployments = table(records.Deployment, key="app_id, version")
        self.functions = table(records.Function)
        self.definitions = table(records.Definition)
        self.classes = table(records.Class)
        self.autoscalers = table(records.Autoscaler, key="function_id")
        self.labels = table(records.Label, key="label", unique=("owner",))
        self.images = table(records.Image, unique=("digest",))
        self.mounts = table(records.Mount, unique=("digest",))
        self.secrets = table(records.Secret)
        self.volumes = table(records.Volume)
        if not read_only:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            with self.transaction():
                for each in tables:
                    each.create()
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's writes become visible at its end, or none. Must not be nested."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
