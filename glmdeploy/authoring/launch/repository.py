"""Which model a launch serves, and where its files are to lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.authoring.launch.sections import Sections

DEFAULT_MOUNT = "/model-cache"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPO = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_CACHED = re.compile(rf"(?:.*/)?models--({_PART}?)--({_PART})/snapshots/([0-9a-f]{{40}})/?", re.ASCII)
"""A model in the Hub's cache (huggingface_hub 2.4, ``file_download.py``)."""
_MOUNT = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", re.ASCII)

_ORGANISATIONS = (
    (re.compile(r"GLM-[45]", re.IGNORECASE), "zai-org"),
    (re.compile(r"DeepSeek-[VR]", re.IGNORECASE), "deepseek-ai"),
    (re.compile(r"Qwen[23]", re.IGNORECASE), "Qwen"),
    (re.compile(r"Kimi-K2", re.IGNORECASE), "moonshotai"),
    (re.compile(r"gpt-oss-", re.IGNORECASE), "openai"),
    (re.compile(r"MiniMax-M", re.IGNORECASE), "MiniMaxAI"),
)
"""Publishers of the models whose names begin so, on the Hugging Face Hub."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """``repo`` on the Hub; ``mount`` of the volume in which ``path`` lies, where it is a path of that form."""

    repo: str
    path: str
    mount: str = DEFAULT_MOUNT
    revision: str | None = None

    @property
    def slug(self) -> str:
        """The model's name as names of apps and volumes are written."""
        return self.repo.rpartition("/")[2].lower()


def is_repo(text: str) -> bool:
    """Whether a text has the form of a repository on the Hub, ``org/name``."""
    return _REPO.fullmatch(text) is not None


def of_launch(given: Given | None, launch: Launch, wanted: ImportOptions, sections: Sections) -> Repository | None:
    """The model of ``--model-path``; None, with an error noted, where it cannot be told."""
    word = given.values[0] if given and given.values else None
    path = sections.use(word) if word else ""
    span = word.span if word else launch.place
    if wanted.repo is not None:
        return Repository(repo=wanted.repo, path=path, mount=_mount(path, wanted.repo))
    name_it = "name the model's repository with --repo ORG/NAME"
    if word is None:
        sections.note(Severity.ERROR, "the launch names no model (--model-path)", span, fix=name_it)
        return None
    if word.unknown:
        message = f"the model is {', '.join(word.unknown)}, which is not in this text"
        sections.note(Severity.ERROR, message, span, fix=name_it)
        return None
    if _REPO.fullmatch(path):
        return Repository(repo=path, path=path)
    if match := _CACHED.fullmatch(path):
        return Repository(repo=f"{match[1]}/{match[2]}", path=path, revision=match[3])
    if repo := _guess(path):
        message = f"the model is a path on the old machine; {repo} on the Hub is a guess from its name"
        sections.note(Severity.WARNING, message, span, fix=name_it)
        return Repository(repo=repo, path=path, mount=_mount(path, repo))
    message = "the model is a path on the old machine, and its name does not tell the repository on the Hub"
    sections.note(Severity.ERROR, message, span, fix=name_it)
    return None


def _guess(path: str) -> str | None:
    parts = [part for part in path.split("/") if part]
    name = parts[-1] if parts else ""
    if len(parts) > 1 and any(parts[-2] == organisation for _, organisation in _ORGANISATIONS):
        return f"{parts[-2]}/{name}" if _REPO.fullmatch(f"{parts[-2]}/{name}") else None
    known = next((organisation for pattern, organisation in _ORGANISATIONS if pattern.match(name)), None)
    return f"{known}/{name}" if known and _REPO.fullmatch(f"{known}/{name}") else None


def _mount(path: str, repo: str) -> str:
    """The folder that holds the model's folder, where that has the name which a deployment gives it."""
    folder, _, name = path.rpartition("/")
    return folder if name == repo.rpartition("/")[2] and _MOUNT.fullmatch(folder) else DEFAULT_MOUNT


def place(model: Repository, revision: Given | None, served_name: Given | None, sections: Sections) -> None:
    """The section ``model``. Without ``--served-model-name`` SGLang serves the model under its path."""
    sections.put(("model", "repo"), model.repo)
    pinned = revision.values[0] if revision else None
    if pinned is not None and not pinned.unknown:
        sections.put(("model", "revision"), sections.use(pinned), pinned.span)
    elif model.revision:
        sections.put(("model", "revision"), model.revision)
    path = ("model", "served_name")
    sections.fallbacks[path] = model.repo
    name = served_name.values[0] if served_name else None
    if name is None:
        sections.put(path, model.path or model.repo)
    elif name.unknown:
        message = f"{', '.join(name.unknown)} is not in this text; the model's own name was taken"
        sections.note(Severity.WARNING, message, name.span, fix="correct `model.served_name`")
        sections.put(path, model.repo)
    else:
        sections.put(path, sections.use(name), name.span)
