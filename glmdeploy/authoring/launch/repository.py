"""Which model a launch serves, and where its files are to lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glmdeploy.findings import Severity
from glmdeploy.profile.text.characters import shown
from glmdeploy.sglang.models import family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.authoring.launch.launch import Launch, Word
    from glmdeploy.authoring.launch.options import Given
    from glmdeploy.authoring.launch.script import ImportOptions
    from glmdeploy.authoring.launch.sections import Sections

DEFAULT_MOUNT = "/model-cache"

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPO = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_CACHED = re.compile(rf"(?:.*/)?models--({_PART}?)--({_PART})(?:/snapshots/([0-9a-f]{{40}}))?/?", re.ASCII)
"""A model in the Hub's cache (huggingface_hub 2.4, ``file_download.py``)."""
_MOUNT = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", re.ASCII)

_FOLDERS = re.compile(
    r"(?:.*[-_.])?(?:models?|weights?|checkpoints?|ckpts?|caches?|data|datasets?|hub|huggingface|hf|hf_?hub|llms?|vlms?"
    r"|snapshots?|downloads?|storage|shared?|scratch|workspace|mnt|opt|srv|var|tmp|home|root|nfs|fsx|efs|lustre|gpfs"
    r"|volumes?|disks?|files|src|projects?|repos?|git|modelscope|open_?source|outputs?|train(?:ing)?|artifacts?)[0-9]*",
    re.IGNORECASE,
)
"""What folders are called that hold models, or lead to them, and are no organisation on the Hub."""

_SHELVES = re.compile(
    r"(?:.*[-_.])?(?:models?|weights?|checkpoints?|ckpts?|model[-_]cache|hub|huggingface|hf|llms?|modelscope)[0-9]*",
    re.IGNORECASE,
)
"""Of these, the ones in which a folder of folders is named for who published the models in it."""

_PUBLISHERS = frozenset(
    {
        *("nvidia", "meta-llama", "Qwen", "zai-org", "THUDM", "deepseek-ai", "moonshotai", "openai", "MiniMaxAI"),
        *("mistralai", "google", "microsoft", "amd", "Intel", "ibm-granite", "baidu", "tencent", "stepfun-ai"),
        *("XiaomiMiMo", "inclusionAI", "OpenGVLab", "openbmb", "internlm", "BAAI", "Alibaba-NLP", "intfloat"),
        *("allenai", "tiiuae", "CohereLabs", "HuggingFaceTB", "LGAI-EXAONE", "lmsys", "sgl-project", "RedHatAI"),
        *("neuralmagic", "unsloth", "QuantTrio", "cpatonn", "bartowski", "lmstudio-community", "ByteDance-Seed"),
    }
)
"""Organisations on the Hugging Face Hub that publish models and are named in public launches."""

_REQUANTISED = re.compile(
    r"[-_](?:AWQ|GPTQ|GGUF|NVFP4|MXFP4|FP4|MLX|EXL[23]|BNB|W\d+A\d+\w*|INT[48]|[2-8]-?bits?|Q\d\w*|Dynamic|quantized)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
"""Suffixes of weights that others than a model's publisher store so."""

_OWN_SUFFIXES: Mapping[str, re.Pattern[str]] = {"Qwen": re.compile(r".*-(?:AWQ|GPTQ-Int[48])", re.IGNORECASE)}
"""Publishers that store weights so themselves: ``Qwen/Qwen3-8B-AWQ``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """``repo`` on the Hub, None where only the ``name`` of the model is known.

    ``mount`` is that of the volume in which ``path`` lies, where it is a path of that form.
    """

    repo: str | None
    path: str
    name: str
    mount: str = DEFAULT_MOUNT
    revision: str | None = None

    @property
    def slug(self) -> str:
        """The model's name as names of apps and volumes are written."""
        return self.name.lower()


def of_launch(
    given: Given | None, launch: Launch, wanted: ImportOptions, sections: Sections, text: str
) -> Repository | None:
    """The model of ``--model-path``; None, with an error noted, where nothing tells it.

    Where a path tells its name alone, ``text`` may have the repository elsewhere; else that is an error too, and the
    rest is imported.
    """
    word = given.values[0] if given and given.values else None
    path = sections.use(word) if word else ""
    span = word.span if word else launch.place
    if wanted.repo is not None:
        return _of(wanted.repo, path)
    name_it = "name the model's repository with --repo ORG/NAME"
    if word is None:
        sections.note(Severity.ERROR, "the launch names no model (--model-path)", span, fix=name_it)
        return None
    whole = path
    if word.unknown:
        whole = _known_end(word)
        missing = ", ".join(map(shown, word.unknown))
        if not whole:
            sections.note(Severity.ERROR, f"the model is {missing}, which is not in this text", span, fix=name_it)
            return None
        where, path = f"a path on the old machine, of which {missing} is not in this text", ""
    elif is_repo(path):
        return Repository(repo=path, path=path, name=path.rpartition("/")[2])
    elif match := _CACHED.fullmatch(path):
        return Repository(repo=f"{match[1]}/{match[2]}", path=path, name=match[2], revision=match[3])
    else:
        where = "a path on the old machine"
    name = whole.rstrip("/").rpartition("/")[2]
    if name.lower().endswith(".gguf"):
        message = f"the model is a file on the old machine, {shown(whole)}, and a profile serves a repository's folder"
        sections.note(Severity.ERROR, message, span, fix="name a repository with weights of another format with --repo")
        return None
    if repo := _named_elsewhere(name, text):
        sections.note(Severity.INFO, f"the model is {where}; the text names {repo}, which was taken for it", span)
        return _of(repo, path)
    if repo := _guess(whole):
        sections.note(
            Severity.WARNING, f"the model is {where}; {shown(repo)} on the Hub is a guess from it", span, fix=name_it
        )
        return _of(repo, path)
    message = f"{shown(word.text)} is {where}, and its name does not tell the repository on the Hub"
    sections.note(Severity.ERROR, message, span, fix=name_it)
    known = re.fullmatch(_PART, name, re.ASCII) and any(family(name[:end]) for end in _ends(name))
    return Repository(repo=None, path=path, name=name, mount=_mount(path, name)) if known else None


def _known_end(word: Word) -> str:
    """What a path that is not known as a whole ends with: ``models/Qwen3-8B`` of ``$HOME/models/Qwen3-8B``."""
    begin = max(word.text.rfind(part) + len(part) for part in word.unknown)
    rest = word.text[begin:]
    return rest[1:] if re.fullmatch(rf"/(?:{_PART}/)*{_PART}/?", rest, re.ASCII) else ""


def is_repo(text: str) -> bool:
    """Whether a text names a repository on the Hub, ``org/name``, and no folder of models."""
    return _REPO.fullmatch(text) is not None and _FOLDERS.fullmatch(text.partition("/")[0]) is None


def _of(repo: str, path: str) -> Repository:
    name = repo.rpartition("/")[2]
    return Repository(repo=repo, path=path, name=name, mount=_mount(path, name))


def _named_elsewhere(name: str, text: str) -> str | None:
    """The one repository of that name which stands anywhere in the text, such as in ``hf download ORG/NAME``."""
    if not re.fullmatch(_PART, name, re.ASCII):
        return None
    places = re.finditer(rf"(?<![\w./$}}~-])({_PART}/{re.escape(name)})(?![\w/-]|\.\w)", text, re.ASCII)
    found = {match[1] for match in places if is_repo(match[1])}
    return found.pop() if len(found) == 1 else None


def _guess(path: str) -> str | None:
    """The repository that a path's last two folders are called by, or the family of its last one."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..", "~")]
    name, folder = parts[-1] if parts else "", parts[-2] if len(parts) > 1 else ""
    organisation = folder if folder in _PUBLISHERS else _publisher(name) or (folder if _on_a_shelf(parts) else "")
    return f"{organisation}/{name}" if is_repo(f"{organisation}/{name}") else None


def _publisher(name: str) -> str | None:
    """Who publishes the model that is named just so, in the weights that the name tells."""
    known = family(name)
    if known is None:
        return None
    own = _OWN_SUFFIXES.get(known.organisation)
    is_own = _REQUANTISED.search(name) is None or (own is not None and own.fullmatch(name) is not None)
    return known.organisation if is_own else None


def _on_a_shelf(parts: list[str]) -> bool:
    """Whether the last folder but one lies in one of models, where it is named for who published those in it.

    A shelf in somebody's home, ``/home/me/models/X``, says nothing of ``me``.
    """
    return len(parts) > 2 and not _FOLDERS.fullmatch(parts[-2]) and _SHELVES.fullmatch(parts[-3]) is not None


def _ends(name: str) -> list[int]:
    """Where the parts of a name end, the longest beginning first: ``GLM-4.5-Air-AWQ``, ``GLM-4.5-Air``, ``GLM-4.5``."""
    return [len(name), *reversed([match.start() for match in re.finditer("[-_]", name)])]


def _mount(path: str, name: str) -> str:
    """The folder that holds the model's folder, where that has the name which a deployment gives it."""
    folder, _, last = path.rstrip("/").rpartition("/")
    return folder if last == name and _MOUNT.fullmatch(folder) else DEFAULT_MOUNT


def place(model: Repository, revision: Given | None, served_name: Given | None, sections: Sections) -> None:
    """The section ``model``. Without ``--served-model-name`` SGLang serves the model under its path."""
    own = model.repo or model.name
    if model.repo is not None:
        sections.put(("model", "repo"), model.repo)
    pinned = revision.values[0] if revision else None
    if pinned is not None and not pinned.unknown:
        sections.put(("model", "revision"), sections.use(pinned), pinned.span)
    elif model.revision:
        sections.put(("model", "revision"), model.revision)
    path = ("model", "served_name")
    sections.fallbacks[path] = own
    name = served_name.values[0] if served_name else None
    if name is None:
        sections.put(path, model.path or own)
    elif name.unknown:
        message = f"{', '.join(map(shown, name.unknown))} is not in this text; the model's own name was taken"
        sections.note(Severity.WARNING, message, name.span, fix="correct `model.served_name`")
        sections.put(path, own)
    else:
        sections.put(path, sections.use(name), name.span)
