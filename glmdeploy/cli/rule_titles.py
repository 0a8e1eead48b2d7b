"""The ids and titles of all rules, as the files of :mod:`glmdeploy.rules.guards` have them.

Read from their text: to import them all takes half a second, for which nobody waits who presses a key.
"""

from __future__ import annotations

import re
from pathlib import Path

_IN_PYTHON = re.compile(r'^ +id="(GLM\d+)",\n +title="([^"\n]+)",$', re.MULTILINE)
_IN_YAML = re.compile(r"^- id: (GLM\d+)\n  title: (.+)$", re.MULTILINE)


def titles() -> dict[str, str]:
    """The title of each rule by its id, in the order of ids."""
    found: dict[str, str] = {}
    for path in (Path(__file__).parents[1] / "rules" / "guards").iterdir():
        pattern = {".py": _IN_PYTHON, ".yaml": _IN_YAML}.get(path.suffix)
        if pattern is not None:
            found.update(pattern.findall(path.read_text(encoding="utf-8")))
    return dict(sorted(found.items()))
