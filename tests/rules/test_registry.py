"""Guards are found by themselves, and a released id stays reserved."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from glmdeploy.errors import GlmdeployError
from glmdeploy.rules import guards, registry
from glmdeploy.rules.registry import reserved, rules
from glmdeploy.rules.rule import Rule

FOLDER = Path(guards.__file__).parent
MODULES = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")
RELEASED = (Path(__file__).parent / "released.txt").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", MODULES)
def test_a_guard_has_all_its_rules(name: str) -> None:
    module = import_module(f"{guards.__name__}.{name}")
    assert module.RULES
    defined = [value for value in vars(module).values() if isinstance(value, Rule)]
    assert sorted(rule.id for rule in defined) == sorted(rule.id for rule in module.RULES)
    assert set(module.RULES) <= set(rules())


def test_a_new_file_is_a_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fresh.py").write_text(
        "import dataclasses\n"
        "from glmdeploy.rules.guards.leaks import ADMIN_KEY\n"
        'RULES = (dataclasses.replace(ADMIN_KEY, id="GLM999"),)\n'
    )
    monkeypatch.setattr(guards, "__path__", [*guards.__path__, str(tmp_path)])
    assert [rule.id for rule in registry.rules.__wrapped__()] == [*(rule.id for rule in rules()), "GLM999"]


def test_ids() -> None:
    ids = [rule.id for rule in rules()]
    assert ids == sorted(set(ids))
    assert reserved(RELEASED) == RELEASED, "run: glmdeploy rules --write"


def test_a_released_id_stays_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GlmdeployError, match="GLM555") as caught:
        reserved([*RELEASED, "GLM555"])
    assert "RETIRED" in (caught.value.advice or "")
    monkeypatch.setattr(registry, "RETIRED", {"GLM555": "GLM001 covers it"})
    assert reserved(RELEASED) == [*RELEASED, "GLM555"]
    monkeypatch.setattr(registry, "RETIRED", {"GLM001": "it was no fault"})
    with pytest.raises(GlmdeployError, match="rules again: GLM001"):
        reserved(RELEASED)
