"""Files that are no profile: what they are, where that shows, and what makes a profile of them."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from glmdeploy.findings import Finding, Location, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Keys = Mapping[str, Any]

BEGIN = "`glmdeploy init MODEL` writes a first profile, and `glmdeploy import FILE` makes one of a launch that exists"

_IMPORT = "`glmdeploy import {file}` makes a profile of the launch in it"
_CONFIG = "name a profile, and give this file with `--model-config {file}`"
_NO = "name a profile: a file in YAML with the keys that `glmdeploy schema` lists"


def _both(*names: str) -> Callable[[Keys], bool]:
    return lambda data: all(name in data for name in names)


def _options(data: Keys) -> bool:
    """SGLang's own ``--config``: its options at the top, in either spelling."""
    plain = {key.lower().replace("_", "-") for key in data}
    return "model-path" in plain and not {"sglang", "gpu", "volumes"} & plain


_LAUNCH = re.compile(r"\bsglang[._ ](?:launch_server|serve)\b")

_TEMPLATE = re.compile(r"^[ \t]*(?:- )?\{\{-? ", re.MULTILINE)

_DSTACK = {"commands", "resources"}

KEYS: tuple[tuple[str, Callable[[Keys], bool], str], ...] = (
    ("a file of Docker Compose", lambda data: "services" in data, _IMPORT),
    ("a manifest of Kubernetes", _both("apiVersion", "kind"), _IMPORT),
    ("a task of SkyPilot", lambda data: "run" in data and bool({"resources", "setup"} & data.keys()), _IMPORT),
    (
        "a configuration of dstack",
        lambda data: "type" in data and bool({"commands", "resources"} & data.keys()),
        _IMPORT,
    ),
    ("a configuration of Truss", lambda data: bool({"docker_server", "model_metadata"} & data.keys()), _IMPORT),
    ("a model's `config.json`", _both("architectures", "model_type"), _CONFIG),
    ("a file for SGLang's `--config`", _options, _IMPORT),
    ("a Jupyter notebook", _both("cells", "nbformat"), _IMPORT),
    ("a workflow of GitHub", lambda data: "jobs" in data and "on" in data, _NO),
    ("a JSON Schema", _both("$schema", "properties"), _NO),
)
"""What other programs' files are called, the keys at their top by which they are known, and what to do."""

ENDINGS = {
    **dict.fromkeys((".py", ".pyw"), ("a Python file", _IMPORT)),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".slurm", ".sbatch"), ("a shell script", _IMPORT)),
    ".fish": ("a fish script", _IMPORT),
    **dict.fromkeys((".ps1", ".bat", ".cmd"), ("a script of Windows", _IMPORT)),
    ".md": ("a Markdown file", _IMPORT),
    ".ipynb": ("a Jupyter notebook", _IMPORT),
    ".service": ("a systemd unit", _IMPORT),
    ".dockerfile": ("a Dockerfile", _IMPORT),
}
"""The same by the ends of files' names, for what is no YAML."""

NAMES = {
    "dockerfile": ("a Dockerfile", _IMPORT),
    "makefile": ("a Makefile", _IMPORT),
    "justfile": ("a justfile", _IMPORT),
}


def keys(data: Keys) -> tuple[str, str] | None:
    """What a mapping is that is another program's, and what to do; None for what may be meant as a profile."""
    if {"schema", "sglang"} & data.keys():
        return None
    return next(((name, fix) for name, shows, fix in KEYS if shows(data)), None)


def text(content: str, file: str) -> tuple[str, str] | None:
    """What a text is that is no YAML mapping, by its file's name or its words, and what to do; None for neither."""
    path = PurePath(file.lower())
    if named := NAMES.get(path.name.partition(".")[0]) if not path.suffix else ENDINGS.get(path.suffix):
        return named
    if _TEMPLATE.search(content):
        return "a template", "fill it in first, and name what comes out"
    if content.startswith("#!"):
        return "a script", _IMPORT
    return ("a launch of SGLang", _IMPORT) if _LAUNCH.search(content) else None


def finding(other: tuple[str, str], location: Location, file: str) -> Finding:
    """The one finding about a file that is something else."""
    name, fix = other
    return Finding(
        id="yaml",
        severity=Severity.ERROR,
        message=f"this is {name}, not a profile",
        location=location,
        fix=fix.format(file=file),
    )
