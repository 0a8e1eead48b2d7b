"""What the embedded cloud keeps: logs without secrets, records, files by their content."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.state.files import FileStore
from glmdeploy.local.state.logbook import LogBook
from glmdeploy.local.state.registry import Registry
from glmdeploy.local.state.store import SCHEMA_VERSION, App, Autoscaler, Secret, Store, new_id
from glmdeploy.redaction import Redactor

if TYPE_CHECKING:
    from pathlib import Path


class TestRedactor:
    def test_replaces_values_and_the_lines_of_values(self) -> None:
        redact = Redactor(["sk-123456", "sk-123456789", "-----BEGIN\nline-of-the-key\n", "1", ""])
        assert redact("sk-123456789 sk-123456 line-of-the-key 1") == "*** *** *** 1"

    @given(st.lists(st.text(min_size=6)), st.text())
    def test_leaves_no_value(self, values: list[str], text: str) -> None:
        values = [value for value in values if value.strip() == value and len(value.splitlines()) == 1]
        shown = Redactor(values)(f"{text}{''.join(values)}{text}")
        assert not [value for value in values if value in shown and value not in "***" * 2 + text * 2]


class TestLogBook:
    def test_keeps_entries_over_restarts_within_bounds(self, tmp_path: Path) -> None:
        book = LogBook(tmp_path)
        for number in range(3):
            book.append("ap-1", f"line {number}", source=1, task_id="ta-1")
        with (tmp_path / "ap-1.jsonl").open("a") as file:
            file.write('{"cut off')
        again = LogBook(tmp_path)
        assert [entry.text for entry in again.read("ap-1")] == ["line 0\n", "line 1\n", "line 2\n"]
        ids = [entry.id for entry in again.read("ap-1")]
        assert ids == sorted(set(ids))
        for _ in range(40):
            again.append("ap-1", "x" * 1024 * 1024, source=1)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20 * 1024 * 1024


class TestStore:
    def test_holds_records_over_restarts(self, tmp_path: Path) -> None:
        app = App(id=new_id("ap"), name="a", environment="main", state=3, created_at=1.5, tags={"k": "v"})
        store = Store(tmp_path / "s.sqlite3")
        store.apps.insert(app)
        store.close()
        again = Store(tmp_path / "s.sqlite3")
        assert again.apps.all(name="a", state=3) == [app]
        assert again.apps.get(name="b") is None
        again.close()

    def test_takes_a_transaction_back(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite3")
        secret = Secret(id="st-1", name="s", environment="main", contents={"A": "hidden"}, created_at=0.0)

        def insert_twice() -> None:
            with store.transaction():
                store.secrets.insert(secret)
                store.secrets.insert(secret)

        with pytest.raises(sqlite3.IntegrityError):
            insert_twice()
        assert store.secrets.all() == []
        assert "hidden" not in repr(secret)
        store.close()

    def test_refuses_a_newer_schema(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite3")
        store.close()
        with sqlite3.connect(tmp_path / "s.sqlite3") as database:
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        database.close()
        with pytest.raises(LocalCloudError, match="newer version"):
            Store(tmp_path / "s.sqlite3")

    def test_adds_what_an_older_schema_lacks(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "s.sqlite3")
        store.autoscalers.put(Autoscaler(function_id="fu-1", settings=b"s", set_at={"min_containers": 1.0}))
        store.close()
        with sqlite3.connect(tmp_path / "s.sqlite3") as database:
            database.execute("ALTER TABLE autoscaler DROP COLUMN set_at")
            database.execute("ALTER TABLE deployment DROP COLUMN kind")
            database.execute("PRAGMA user_version = 1")
        database.close()
        store = Store(tmp_path / "s.sqlite3")
        assert store.autoscalers.all() == [Autoscaler(function_id="fu-1", settings=b"s")]
        assert store.deployments.all() == []
        store.close()


class TestFiles:
    def test_by_content(self, tmp_path: Path) -> None:
        store = FileStore(tmp_path)
        digest = hashlib.sha256(b"content").hexdigest()
        with pytest.raises(ValueError, match="does not have the hash"):
            store.put(digest, b"other")
        assert not store.exists(digest)
        store.put(digest, b"content")
        store.copy(digest, tmp_path / "out" / "file", 0o750)
        assert (tmp_path / "out" / "file").read_bytes() == b"content"
        assert (tmp_path / "out" / "file").stat().st_mode & 0o777 == 0o700
        store.copy(digest, tmp_path / "out" / "file", 0o644)
        assert (tmp_path / "out" / "file").stat().st_mode & 0o777 == 0o600
        with pytest.raises(ValueError, match="not a SHA-256"):
            store.exists("../../etc/passwd")


def test_a_label_asked_for_later_gives_another_address(tmp_path: Path) -> None:
    registry = Registry(Store(tmp_path / "s.sqlite3"))
    app = App(id="ap-1", name="glm", environment="main", state=api_pb2.APP_STATE_DEPLOYED, created_at=0.0)
    plain = api_pb2.WebhookConfig(type=api_pb2.WEBHOOK_TYPE_WEB_SERVER)
    labelled = api_pb2.WebhookConfig(type=api_pb2.WEBHOOK_TYPE_WEB_SERVER, requested_suffix="mine")
    first = registry.web_url(app, "Server.*", "serve", plain)
    assert registry.web_url(app, "Server.*", "serve", labelled) == "/mine"
    assert registry.web_url(app, "Server.*", "serve", plain) == first == "/glm-server-serve"
