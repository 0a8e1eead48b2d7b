"""The encoding of an imported file: what is UTF-8 or has a mark is read, what is not is told with a guess.

Marks: Unicode 15, 2.6 ("Encoding Schemes"). First bytes of binaries: the formats' own specifications. The guess looks
at byte pairs as the encodings' tables have them (GB 18030, Big5, JIS X 0208, KS X 1001), and at how often the commonest
characters of a language come out.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BINARIES = (
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ\x90\x00", "a program (Windows)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF-", "a PDF"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"GGUF", "a model's file (GGUF)"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"SIMPLE  =", "a FITS file"),
)

_CHINESE = (
    "的一是不了在有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着"
    "下自之年过发后作里启动脚本单卡模型服务端口运行参数显存配置使用机器注意默认设置推"
    "理部署双测试"
)
_TRADITIONAL = (
    "的一是不了在有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著"
    "下自之年過發後作裡啟動腳本單模型服務端運行參數設置使用機器注意"
)
_JAPANESE = (
    "のにはをたがでてとしれさあいうえおかきくけこすせそつなぬねはひふへほまみむめもや"
    "ゆよらりるろわんアイウエオカキクケコサシスセソタチツテトナニネノハフマムメモラリ"
    "ルレロンサーバ起動設定"
)
_KOREAN = "이다는에의을가한지기고서로리시스사하도은를과와자어나부정수대모델버실행설명령포트"


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """``codec`` is Python's name, ``name`` that of ``iconv``."""

    codec: str
    name: str
    language: str = ""
    common: str = ""


_CANDIDATES = (
    Encoding(codec="gb18030", name="GB18030", language="Chinese", common=_CHINESE),
    Encoding(codec="big5", name="BIG5", language="Chinese", common=_TRADITIONAL),
    Encoding(codec="cp932", name="CP932", language="Japanese", common=_JAPANESE),
    Encoding(codec="euc_jp", name="EUC-JP", language="Japanese", common=_JAPANESE),
    Encoding(codec="euc_kr", name="EUC-KR", language="Korean", common=_KOREAN),
)
_WESTERN = Encoding(codec="cp1252", name="WINDOWS-1252")
_LATIN = Encoding(codec="latin-1", name="ISO-8859-1")
_CYRILLIC = Encoding(codec="cp1251", name="WINDOWS-1251", language="Cyrillic")
_WIDE = (Encoding(codec="utf-16-le", name="UTF-16LE"), Encoding(codec="utf-16-be", name="UTF-16BE"))

_HIGH = re.compile(rb"[\x80-\xff]+")


def marked(data: bytes) -> tuple[str, int] | None:
    """The codec that a mark at the start names, and the mark's length."""
    return next(((codec, len(mark)) for mark, codec in MARKS if data.startswith(mark)), None)


def binary(data: bytes) -> str | None:
    """What a file is that is no text, with its article."""
    if data[257:262] == b"ustar":
        return "a tar archive"
    return next((name for start, name in BINARIES if data.startswith(start)), None)


def wide(data: bytes) -> Encoding | None:
    """UTF-16 without a mark: every other byte of a text that is mostly ASCII is zero."""
    head = data[: 4096 - len(data) % 2]
    for encoding, first in zip(_WIDE, (1, 0), strict=True):
        zeros = head[first::2].count(0)
        if len(head) >= 4 and zeros * 10 >= len(head) // 2 * 7 and head[1 - first :: 2].count(0) == 0:
            return encoding
    return None


def damaged(data: bytes) -> bool:
    """Whether a text is UTF-8 for the most part, so that it is no other encoding, but has a byte that does not fit."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return sum(each > "\x7f" for each in text) - wrong > 2 * wrong


def first_high(data: bytes) -> int:
    """Where the first byte stands that is no ASCII: what an encoding decides begins there."""
    found = _HIGH.search(data)
    return found.start() if found else 0


def guessed(data: bytes) -> Encoding:
    """The encoding that a text most likely has which is not UTF-8."""
    runs = _HIGH.findall(data)
    high = b"".join(runs)
    best, most = None, 0.0
    for encoding in _CANDIDATES:
        if not _decodes(data, encoding):
            continue
        text = data.decode(encoding.codec)
        wide_characters = [each for each in text if ord(each) > 0x7F]
        share = sum(each in encoding.common for each in wide_characters) / max(len(wide_characters), 1)
        # Half-width kana and private characters come out where the encoding is another one.
        strange = sum("\uff61" <= each <= "\uff9f" or "\ue000" <= each <= "\uf8ff" for each in wide_characters)
        value = share - strange / max(len(wide_characters), 1)
        if best is None or value > most + 0.02:
            best, most = encoding, value
    western = _WESTERN if _decodes(data, _WESTERN) else _LATIN
    small = sum(byte >= 0xE0 for byte in high) / max(len(high), 1)
    if _decodes(data, _CYRILLIC) and small > 0.6 and most < 0.2 and len(high) >= 3 * len(runs):
        return _CYRILLIC
    # Letters with accents stand alone or in twos; ideographs stand in longer runs, even where none is common.
    return best if best is not None and (most > 0.15 or len(high) >= 4 * len(runs)) else western


def _decodes(data: bytes, encoding: Encoding) -> bool:
    try:
        data.decode(encoding.codec)
    except UnicodeDecodeError:
        return False
    return True
