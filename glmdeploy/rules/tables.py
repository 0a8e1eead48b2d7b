"""The tables of ``guards/``, whose rules are plain data: a subject a file.

People write them in YAML, of which six files take longer to read than a profile to judge. So ``glmdeploy rules
--write`` keeps what they say as JSON too, with a checksum of each table: one that was edited since is read itself.
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from glmdeploy.profile.text.load import read_text
from glmdeploy.rules import guards

FOLDER = Path(guards.__file__).parent
TABLES = tuple(sorted(FOLDER.glob("*.yaml")))
READ = FOLDER / "tables.json"


def entries(table: Path) -> list[dict[str, Any]]:
    """What the table says: its entries, each of which is to be a rule."""
    text = table.read_bytes()
    kept = _kept().get(table.name, {})
    if kept.get("checksum") == zlib.crc32(text):
        found: list[dict[str, Any]] = kept["rules"]
        return found
    return parsed(text.decode(), table.name)


def parsed(text: str, name: str) -> list[dict[str, Any]]:
    """The entries of the text of a table called ``name``."""
    found: list[dict[str, Any]] = read_text(text, name).data["rules"]
    return found


def written() -> str:
    """What is kept of all tables: JSON, a rule a line."""
    tables = []
    for table in TABLES:
        text = table.read_bytes()
        rules = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in parsed(text.decode(), table.name))
        tables.append(f'"{table.name}": {{"checksum": {zlib.crc32(text)}, "rules": [\n{rules}\n]}}')
    return "{{\n{}\n}}\n".format(",\n".join(tables))


@cache
def _kept() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(READ.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
