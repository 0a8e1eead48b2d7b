"""A file that is not UTF-8 is told with its place, a guess and a way out; one with a mark is read."""

from __future__ import annotations

import codecs
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.authoring.launch.script import decode
from glmdeploy.errors import ProfileError

LAUNCH = "python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 2"
SPOKEN = [
    ("gb18030", "GB18030", "启动脚本：八卡"),
    ("gb18030", "GB18030", "使用两张卡运行，显存占比"),
    ("gb18030", "GB18030", "参数说明"),
    ("big5", "BIG5", "啟動腳本，單卡"),
    ("big5", "BIG5", "使用兩張卡執行伺服器"),
    ("cp932", "CP932", "サーバを起動する"),
    ("cp932", "CP932", "二つのGPUで実行します"),
    ("euc_jp", "EUC-JP", "サーバを起動する"),
    ("euc_kr", "EUC-KR", "서버를 실행한다"),
    ("cp1252", "WINDOWS-1252", "démarrer le modèle"),
    ("cp1252", "WINDOWS-1252", "größer – “schöner”"),
    ("cp1251", "WINDOWS-1251", "запуск сервера"),
]


def refused(data: bytes) -> tuple[int, int, str, str]:
    with pytest.raises(ProfileError) as caught:
        decode(data, "launch.sh")
    [found] = caught.value.findings
    return found.location.line, found.location.column, found.message, found.fix or ""


@pytest.mark.parametrize(("codec", "name", "remark"), SPOKEN, ids=lambda value: value if value.isascii() else "")
def test_an_encoding_is_guessed(codec: str, name: str, remark: str) -> None:
    line, column, message, fix = refused(f"#!/bin/sh\n#  {remark}\n{LAUNCH}\n".encode(codec))
    assert (line, column) == (2, 4 + next(at for at, each in enumerate(remark) if not each.isascii()))
    assert f"it looks like {name}" in message
    assert fix == f"convert it: iconv -f {name} -t UTF-8 launch.sh"


def test_one_byte_that_is_damaged() -> None:
    data = "# 启动脚本\n# 八".encode() + b"\xff" + f"卡\n{LAUNCH}\n".encode()
    assert refused(data)[:3] == (2, 4, "the byte 0xFF here is no UTF-8, as the rest of the text is")


def test_the_line_is_shown_as_it_reads() -> None:
    with pytest.raises(ProfileError) as caught:
        decode("# 启动\n".encode("gb18030"), "launch.sh")
    assert caught.value.findings[0].location.text == "# 启动"


def test_a_secret_beside_it_is_not_shown() -> None:
    with pytest.raises(ProfileError) as caught:
        decode(f"{LAUNCH} --api-key correct-horse # 启动服务\n".encode("gb18030"), "launch.sh")
    assert "correct-horse" not in caught.value.findings[0].location.text


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_mark_is_read(mark: bytes, codec: str) -> None:
    assert decode(mark + f"# 启动\n{LAUNCH}\n".encode(codec), "launch.sh").text == f"# 启动\n{LAUNCH}\n"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_named(codec: str) -> None:
    _, _, message, fix = refused(f"# serve\n{LAUNCH}\n".encode(codec))
    assert message == f"this is not UTF-8 text; it looks like {codec.upper().replace('-LE', 'LE').replace('-BE', 'BE')}"
    assert "iconv -f UTF-16" in fix


def test_a_mark_that_lies() -> None:
    assert "begins with the mark of UTF-16-LE" in refused(codecs.BOM_UTF16_LE + b"abc")[2]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(20), "a program (ELF)"),
        (gzip.compress(LAUNCH.encode(), mtime=0), "a gzip archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a picture (PNG)"),
        (b"PK\x03\x04" + bytes(20), "a zip archive"),
        (b"GGUF\x03\x00\x00\x00", "a model's file (GGUF)"),
        (b"%PDF-1.7\n", "a PDF"),
        (bytes(257) + b"ustar\x00" + bytes(200), "a tar archive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_binary_is_named(data: bytes, kind: str) -> None:
    assert refused(data)[:3] == (1, 1, f"this is {kind}, no text")


def test_a_nul_byte_has_its_place() -> None:
    assert refused(f"# a\n{LAUNCH} \0\n".encode())[:2] == (2, len(LAUNCH) + 2)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_told(data: bytes) -> None:
    try:
        assert decode(data, "launch.sh").text.isprintable() is not None
    except ProfileError as error:
        assert len(error.findings) == 1
