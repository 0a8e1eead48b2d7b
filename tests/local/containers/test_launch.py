"""What a container gets from its image, without the image being built: variables and files."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from glmdeploy.local.containers.launch import PlacedFile, copied_files, variables

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
