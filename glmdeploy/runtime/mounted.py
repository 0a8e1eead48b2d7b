"""The plan that was mounted beside this file. The rendered script has it as a constant instead of this module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PLAN_FILE = "plan.json"


def _mounted() -> dict[str, Any] | None:
    file = Path(__file__).with_name(PLAN_FILE)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


PLAN = _mounted()
"""The deployed plan, in a container; None where the app is built."""
