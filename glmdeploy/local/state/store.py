"""What the embedded cloud remembers: plain records, and the SQLite tables that keep them, one per record type.

A field's type decides how it is kept: ``dict`` as JSON, ``bytes`` as they are. Times are seconds since the epoch, 0 for
"not yet"; ``environment`` is an Environment's name. Wire formats are made from the records elsewhere.

Written for one process and one thread (the daemon's event loop); other processes may read. A commit survives
``kill -9`` of the daemon: SQLite's write-ahead log with ``synchronous=NORMAL`` can only lose commits to a
failure of the machine itself, and never the database.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import string
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from glmdeploy.errors import LocalCloudError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_ALPHABET = string.ascii_letters + string.digits

Row = TypeVar("Row")
SCHEMA_VERSION = 3
"""Raised by one with every change of a record type; an older glmdeploy refuses a newer store.

A newer one adds the tables and the columns that an older store lacks, with the defaults of their fields."""
_SQL_TYPES: dict[Any, str] = {str: "TEXT", int: "INTEGER", float: "REAL", bytes: "BLOB"}


def new_id(prefix: str) -> str:
    """An identifier in Modal's form: a prefix of two letters and 22 letters or digits."""
    return f"{prefix}-{''.join(secrets.choice(_ALPHABET) for _ in range(22))}"


@dataclass(frozen=True, kw_only=True)
class Environment:
    id: str
    name: str
    created_at: float


@dataclass(frozen=True, kw_only=True)
class App:
    """``state`` is a number of Modal's AppState; ``name`` is the description until the app is deployed."""

    id: str
    name: str
    environment: str
    state: int
    created_at: float
    tags: dict[str, str] = field(default_factory=dict)
    version: int = 0
    deployed_at: float = 0.0
    stopped_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One AppPublish: what was live from then on. ``commit_info`` is the serialized message, or empty.

    ``kind`` is a number of Modal's DeploymentType.
    """

    app_id: str
    version: int
    deployed_at: float
    client_version: str
    tag: str
    commit_info: bytes
    tags: dict[str, str]
    function_ids: dict[str, str]
    class_ids: dict[str, str]
    definition_ids: dict[str, str]
    rollback_version: int = 0
    kind: int = 0


@dataclass(frozen=True, kw_only=True)
class Function:
    id: str
    app_id: str
    tag: str


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One FunctionCreate: ``data`` is a serialized FunctionData; live once an AppPublish names it."""

    id: str
    function_id: str
    data: bytes
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Class:
    id: str
    app_id: str


@dataclass(frozen=True, kw_only=True)
class Autoscaler:
    """Settings that override a function's own until its app is published again (serialized).

    ``set_at`` has for each field when it was set.
    """

    function_id: str
    settings: bytes
    set_at: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Label:
    """The first path segment of a web URL, and whose it is."""

    label: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """``proto`` is the serialized Image message; images with equal digests are the same image."""

    id: str
    digest: str
    proto: bytes
    builder_version: str
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Mount:
    """``files`` is a serialized MountGetOrCreateRequest of the files alone; their contents are apart."""

    id: str
    digest: str
    files: bytes


@dataclass(frozen=True, kw_only=True)
class Secret:
    """``name`` is empty for a secret that was made from a dictionary."""

    id: str
    name: str
    environment: str
    contents: dict[str, str]
    created_at: float
    last_used_at: float = 0.0

    def __repr__(self) -> str:
        return f"Secret(id={self.id!r}, name={self.name!r}, keys={sorted(self.contents)})"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """``version`` is a number of Modal's VolumeFsVersion; ``name`` is empty for an ephemeral volume."""

    id: str
    name: str
    environment: str
    version: int
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A container, by its task id. ``gpu`` is Modal's name of its GPUs' type, ``gpus`` how many of them it has.

    ``ready_at`` is when it could first take inputs or requests. ``ended_at`` is when it was last known to run;
    ``result`` is a serialized GenericResult, empty until it has ended.
    """

    id: str
    app_id: str
    environment: str
    function_id: str
    gpu: str
    gpus: int
    enqueued_at: float
    started_at: float = 0.0
    ended_at: float = 0.0
    result: bytes = b""
    ready_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one minute brought to one container of a function; ``task_id`` is empty for what no container was given.

    ``minute`` is when it began. ``counts`` has how often what came to an end, and how long that took
    (:mod:`glmdeploy.local.state.traffic`); ``seconds`` is the time that it took together, and ``running`` what ran when
    the minute was over.
    """

    minute: int
    function_id: str
    task_id: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    running: int = 0


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
        present = {name for _, name, *_ in self._connection.execute(f"PRAGMA table_info({self._name})")}
        for name, kind in zip(self._columns, self._types, strict=True):
            if name not in present:
                empty = {str: "''", int: "0", float: "0.0", bytes: "x''"}.get(kind, "'{}'")
                sql = f"{name} {_SQL_TYPES.get(kind, 'TEXT')} NOT NULL DEFAULT {empty}"
                self._connection.execute(f"ALTER TABLE {self._name} ADD COLUMN {sql}")

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

    def between(self, column: str, first: float, end: float) -> list[Row]:
        """Those whose ``column`` is ``first`` or more, and less than ``end``; in its order."""
        query = f"SELECT {', '.join(self._columns)} FROM {self._name} WHERE {column} >= ? AND {column} < ?"
        return [self._decode(values) for values in self._connection.execute(f"{query} ORDER BY {column}", (first, end))]

    def delete(self, **where: object) -> None:
        self._connection.execute(f"DELETE FROM {self._name}{_condition(where)}", list(where.values()))

    def delete_below(self, column: str, first: float) -> None:
        """Those whose ``column`` is less than ``first``."""
        self._connection.execute(f"DELETE FROM {self._name} WHERE {column} < ?", (first,))

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
        """Open the file, and make it where there is none.

        :raises LocalCloudError: for state of a newer version.
        :raises sqlite3.Error: where the file is unusable.
        """
        if not read_only:
            # SQLite gives the files beside it the mode of the database.
            path.touch(mode=0o600)
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
        self.environments = table(Environment, unique=("name",))
        self.apps = table(App)
        self.deployments = table(Deployment, key="app_id, version")
        self.functions = table(Function)
        self.definitions = table(Definition)
        self.classes = table(Class)
        self.autoscalers = table(Autoscaler, key="function_id")
        self.labels = table(Label, key="label", unique=("owner",))
        self.images = table(Image, unique=("digest",))
        self.mounts = table(Mount, unique=("digest",))
        self.secrets = table(Secret)
        self.volumes = table(Volume)
        self.runs = table(Run)
        self.tallies = table(Tally, key="minute, function_id, task_id")
        self._aside = 0
        if not read_only:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            with self.transaction():
                for each in tables:
                    each.create()
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @property
    def changes(self) -> int:
        """Another number after each write: whoever keeps what was read must read again. Nobody else writes."""
        return self._connection.total_changes - self._aside

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

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A transaction that :attr:`changes` does not tell of: for what nobody keeps after reading it."""
        before = self._connection.total_changes
        try:
            with self.transaction():
                yield
        finally:
            self._aside += self._connection.total_changes - before

    def close(self) -> None:
        self._connection.close()
