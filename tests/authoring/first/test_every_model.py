"""Every profile that `init` would write of a model that is known: valid without a warning, and large enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy.authoring.first.candidates import Wanted, search
from glmdeploy.authoring.first.nowhere import nowhere
from glmdeploy.authoring.first.subject import Subject, subject
from glmdeploy.authoring.first.written import written
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Severity
from glmdeploy.gpus import PRICES
from glmdeploy.profile.text.load import read_text
from glmdeploy.resources import schemas_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog, models
from glmdeploy.sizing import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glmdeploy.authoring.first.candidates import Candidate

CONFIGS: dict[str, Any] = json.loads((Path(__file__).parent / "configs.json").read_text(encoding="utf-8"))

ASKED = {"default": {}, "32k": {"context": 32_768, "running": 16}, "H100": {"gpu": "H100"}}

UNCOUNTED = {
    *("DeepSeek-V4", "GLM-4.5V", "GLM-4.6V", "GLM-5.3-Flash", "Llama-4"),
    # Known by their names alone: the Hub tells the rest.
    *("DeepSeek-V2", "gte-Qwen2", "GLM-4.6V-Flash", "GLM-4.1V", "Kimi-Linear", "Mistral-Large-3", "Qwen3-Coder-Next"),
    *("Qwen2-VL", "Qwen2"),
}
"""Families of which no model can be counted from what ships or stands beside this test."""

NOWHERE = {
    "H100": {
        *("GLM-5", "GLM-5.1", "GLM-5.2", "GLM-5.3", "DeepSeek-V3", "DeepSeek-R1", "DeepSeek-V3.1", "DeepSeek-V3.2"),
        *("Kimi-K2", "Kimi-K2-Thinking", "Kimi-K2.5", "Kimi-K2.6", "GLM-4.5", "GLM-4.6", "GLM-4.7"),
    }
}
"""Families that are too large for what is asked."""


def families() -> list[str]:
    files = sorted((schemas_dir() / "models").glob("*.json"))
    return [name for file in files for name in json.loads(file.read_text(encoding="utf-8")).get("families", {})]


def repositories() -> dict[str, str]:
    """One of each family: the first that ships, else one that stands beside this test."""
    found: dict[str, str] = {}
    for repo in (*models.published().values(), *CONFIGS):
        family = models.family(repo)
        assert family is not None, repo
        found.setdefault(family.name, repo)
    return found


def the_subject(repo: str, folder: Path) -> Subject:
    told: list[str] = []
    config = None
    if repo in CONFIGS:
        config = folder / "config.json"
        config.write_text(json.dumps(CONFIGS[repo]["config"]), encoding="utf-8")
        if weights := CONFIGS[repo].get("weights"):
            index = {"metadata": {"total_size": weights}, "weight_map": {}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return subject(repo, config=config, ask_hub=False, tell=told.append)


def asked(about: Subject, **values: Any) -> Wanted:
    own = about.context
    usual: dict[str, Any] = {"context": own if own <= 65_536 else 32_768, "running": 8}
    given = usual | values
    given["context"] = min(given["context"], own)
    return Wanted(release=catalog.versions()[-1], name="mine", app="mine", **given)


def cases() -> Iterator[Any]:
    repos = repositories()
    names = [name for name in families() if name not in UNCOUNTED]
    for number, (name, how) in enumerate((name, how) for name in names for how in ASKED):
        marks = [] if number % 11 == 0 else [pytest.mark.thorough]
        yield pytest.param(repos[name], how, id=f"{name}-{how}", marks=marks)


def hold(candidate: Candidate, folder: Path) -> None:
    """Its file is valid without a warning, with and without the configuration, and says what was sized."""
    file = folder / "mine.yaml"
    profile = written(candidate, file)
    loud = [found for found in profile.findings if found.severity is not Severity.INFO]
    assert not loud
    assert 25 <= profile.lines <= 50
    assert all(len(line) <= 120 for line in profile.text.splitlines()[1:])
    checked = check(read_text(profile.text, str(file)))
    assert not [found for found in checked.findings if found.severity is not Severity.INFO]
    assert checked.facts is not None
    sized = size.size(checked.facts, candidate.draft.subject.dimensions)
    assert sized.fits
    assert sized.memory == candidate.size.memory
    assert sized.whole_requests == candidate.requests >= 1
    assert candidate.lacking == max(0, candidate.wanted - candidate.requests)
    assert sized.cold_start_range[1] <= sized.startup_timeout
    assert sized.running == sized.max_inputs == candidate.wanted


@pytest.mark.parametrize(("repo", "how"), list(cases()))
def test_what_is_written_is_valid_and_fits(repo: str, how: str, tmp_path: Path) -> None:
    about = the_subject(repo, tmp_path)
    family = models.family(repo)
    assert family is not None
    found = search(about, asked(about, **ASKED[how]), prices=PRICES)
    if family.name in NOWHERE.get(how, ()):
        assert not found.candidates
        assert nowhere(found).advice
        return
    assert found.candidates, nowhere(found).message
    for candidate in found.candidates[0], found.candidates[-1]:
        hold(candidate, tmp_path)


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    """A family is either tried above, or refused for a reason."""
    assert len(families()) >= 78
    repos = repositories()
    for name in families():
        repo = repos.get(name) or f"acme/{name}"
        if name not in UNCOUNTED:
            the_subject(repo, tmp_path)
            continue
        with pytest.raises(GlmdeployError, match=r"not known here|not one that sizing understands") as failure:
            the_subject(repo, tmp_path)
        assert failure.value.advice
