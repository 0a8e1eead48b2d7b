"""Parts of the embedded cloud that need neither a daemon nor containers."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import sqlite3
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from glmdeploy.errors import LocalCloudError
from glmdeploy.local import home
from glmdeploy.local.containers.launch import PlacedFile, copied_files, variables
from glmdeploy.local.containers.pool import DEFAULT_MAX_CONTAINERS, limits
from glmdeploy.local.control.functions import function_data
from glmdeploy.local.home import inside, load_credentials, require_space, write_atomically
from glmdeploy.local.schedule import Timetable
from glmdeploy.local.state.files import FileStore
from glmdeploy.local.state.logbook import LogBook, Redactor
from glmdeploy.local.state.store import SCHEMA_VERSION, App, Secret, Store, new_id

if TYPE_CHECKING:
    from pathlib import Path

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)


class TestImageEnv:
    @given(st.dictionaries(names, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
    def test_reads_what_modal_writes(self, wanted: dict[str, str]) -> None:
        commands = ["FROM base", *(f"ENV {name}={shlex.quote(value)}" for name, value in wanted.items())]
        assert variables(commands) == wanted

    @given(st.text())
    def test_any_instruction_is_read_or_refused(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            assert all("=" not in name for name in variables([f"ENV {text}"]))

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ("ENV A=1 B=2", {"A": "1", "B": "2"}),
            ("env A=1", {"A": "1"}),
            ('ENV A="x y" B=a\\ b', {"A": "x y", "B": "a b"}),
            ("ENV A='$OLD' B=$OLD", {"A": "$OLD", "B": "$OLD"}),
            ("RUN export A=1", {}),
            ("ENVIRONMENT A=1", {}),
        ],
    )
    def test_instructions(self, command: str, expected: dict[str, str]) -> None:
        assert variables([command]) == expected

    @pytest.mark.parametrize("command", ["ENV A 1 2  3", "ENV A='open"])
    def test_another_form_is_refused(self, command: str) -> None:
        with pytest.raises(ValueError, match=r"not understood in the embedded cloud: ENV A 1|No closing quotation"):
            variables([command])


class TestCopy:
    MOUNT = (
        api_pb2.MountFile(filename="/root/pkg/a.py", sha256_hex="a", mode=0o755),
        api_pb2.MountFile(filename="/b.txt", sha256_hex="b"),
    )

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            ("COPY . /", {"root/pkg/a.py": "a", "b.txt": "b"}),
            ("COPY /root/pkg /opt", {"opt/a.py": "a"}),
            ("copy --chown=1 b.txt /opt/", {"opt/b.txt": "b"}),
            ("COPY b.txt /opt/c", {"opt/c": "b"}),
            ('COPY ["b.txt", "/opt/c"]', {"opt/c": "b"}),
            ("COPY /python/. /usr/local", {}),
            ("RUN COPY . /", {}),
        ],
    )
    def test_takes_files_from_the_mount(self, command: str, expected: dict[str, str]) -> None:
        copied = list(copied_files([command], list(self.MOUNT)))
        assert {str(file.path): file.sha256_hex for file in copied} == expected

    def test_keeps_modes(self) -> None:
        assert list(copied_files(["COPY root/pkg/a.py /x"], list(self.MOUNT))) == [
            PlacedFile(sha256_hex="a", path=PurePosixPath("x"), mode=0o755)
        ]

    @pytest.mark.parametrize("path", ["../x", "/a/../../x", ".."])
    def test_stays_inside(self, path: str) -> None:
        with pytest.raises(ValueError, match="leads out"):
            inside(PurePosixPath(path))


class TestScaling:
    def test_prefers_overrides(self) -> None:
        function = api_pb2.Function(
            max_concurrent_inputs=20,
            task_idle_timeout_secs=900,
            autoscaler_settings=api_pb2.AutoscalerSettings(min_containers=1, max_containers=3),
        )
        override = api_pb2.AutoscalerSettings(min_containers=0, scaledown_window=5)
        result = limits(function, override)
        assert (result.minimum, result.maximum, result.scaledown_window) == (0, 3, 5)

    def test_bounds_what_has_no_bound(self) -> None:
        result = limits(api_pb2.Function(), api_pb2.AutoscalerSettings())
        assert result.wanted(1000) == DEFAULT_MAX_CONTAINERS
        assert (result.wanted(0), result.wanted(1)) == (0, 1)

    @given(st.integers(0, 50), st.integers(1, 8), st.integers(0, 4), st.integers(0, 4), st.integers(0, 2))
    def test_never_leaves_its_bounds(self, load: int, slots: int, minimum: int, more: int, buffer: int) -> None:
        settings = api_pb2.AutoscalerSettings(
            min_containers=minimum, max_containers=max(minimum + more, 1), buffer_containers=buffer
        )
        function = api_pb2.Function(max_concurrent_inputs=slots, autoscaler_settings=settings)
        result = limits(function, api_pb2.AutoscalerSettings())
        wanted = result.wanted(load)
        assert minimum <= wanted <= max(minimum + more, 1)
        assert wanted * slots >= load or wanted == max(minimum + more, 1)


class TestSchedules:
    def test_by_cron_in_a_time_zone(self) -> None:
        schedule = api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="30 9 * * *", timezone="Europe/Berlin"))
        midnight = 1_767_225_600.0  # 2026-01-01 00:00 UTC
        assert Timetable.parse(schedule).next(midnight) == midnight + 8.5 * 3600

    def test_by_period(self) -> None:
        schedule = api_pb2.Schedule(period=api_pb2.Schedule.Period(minutes=2, seconds=0.5))
        assert Timetable.parse(schedule).next(100.0) == 220.5

    def test_none(self) -> None:
        assert Timetable.parse(api_pb2.Schedule()).next(0.0) is None

    @pytest.mark.parametrize(
        "schedule",
        [
            api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="* * * * *", timezone="Mars/Olympus")),
            api_pb2.Schedule(cron=api_pb2.Schedule.Cron(cron_string="every day")),
            api_pb2.Schedule(period=api_pb2.Schedule.Period()),
        ],
    )
    def test_refused(self, schedule: api_pb2.Schedule) -> None:
        with pytest.raises(ValueError, match=r"."):
            Timetable.parse(schedule)


class TestRedactor:
    def test_replaces_values_and_the_lines_of_values(self) -> None:
        redact = Redactor(["sk-123456", "sk-123456789", "-----BEGIN\nline-of-the-key\n", "1", ""])
        assert redact("sk-123456789 sk-123456 line-of-the-key 1") == "[redacted] [redacted] [redacted] 1"

    @given(st.lists(st.text(min_size=6)), st.text())
    def test_leaves_no_value(self, values: list[str], text: str) -> None:
        values = [value for value in values if value.strip() == value and len(value.splitlines()) == 1]
        shown = Redactor(values)(f"{text}{''.join(values)}{text}")
        assert not [value for value in values if value in shown and value not in "[redacted]" * 2 + text * 2]


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
        assert (tmp_path / "out" / "file").stat().st_mode & 0o777 == 0o750
        with pytest.raises(ValueError, match="not a SHA-256"):
            store.exists("../../etc/passwd")

    def test_are_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "dir"
        target.mkdir()
        with pytest.raises(OSError, match="dir"):
            write_atomically(target, b"x")
        assert [path.name for path in tmp_path.iterdir()] == ["dir"]

    def test_that_cannot_fit(self, tmp_path: Path) -> None:
        require_space(tmp_path, 1)
        with pytest.raises(OSError, match="No space left"):
            require_space(tmp_path, 1 << 62)


class TestCredentials:
    def test_are_made_once(self, tmp_path: Path) -> None:
        first = load_credentials(tmp_path / "c.json")
        assert load_credentials(tmp_path / "c.json") == first
        assert first.match(first.token_id, first.token_secret)
        assert not first.match(first.token_id, "as-other")
        assert not first.match("", "")
        assert first.token_secret not in repr(first)

    def test_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "c.json").write_text("{}")
        with pytest.raises(ValueError, match="no token pair"):
            load_credentials(tmp_path / "c.json")


class TestPorts:
    def test_unreadable_settings_are_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "settings.json").write_text("[")
        *first, notes = home.listen(tmp_path / "settings.json", None)
        numbers = [home.port(listener) for listener in first]
        for listener in first:
            listener.close()
        *second, _ = home.listen(tmp_path / "settings.json", None)
        assert [home.port(listener) for listener in second] == numbers
        assert notes == ()
        for listener in second:
            listener.close()


def test_function_data_carries_what_both_messages_have() -> None:
    function = api_pb2.Function(
        function_name="Cls.*",
        timeout_secs=7,
        is_class=True,
        autoscaler_settings=api_pb2.AutoscalerSettings(max_containers=3),
        experimental_options={"a": "b"},
        supported_input_formats=[api_pb2.DATA_FORMAT_PICKLE],
        method_definitions={"m": api_pb2.MethodDefinition(function_name="Cls.m")},
    )
    data = function_data(function)
    assert data.ranked_functions[0].function == function
    assert (data.function_name, data.timeout_secs, data.is_class) == ("Cls.*", 7, True)
    assert data.autoscaler_settings.max_containers == 3
    assert dict(data.experimental_options) == {"a": "b"}
    assert data.method_definitions["m"].function_name == "Cls.m"
    assert list(data.supported_input_formats) == [api_pb2.DATA_FORMAT_PICKLE]
