"""Formats that are refused by their name: how each shows that it is what it is."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats.format import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.authoring.launch.launch import Span
    from glmdeploy.authoring.launch.script import Script

_DOCUMENT = re.compile(r"<<-?[ \t]*[\"']?[A-Za-z_]\w*[\"']?")
_BLANK = re.compile(r"(?:[ \t]*(?:(?:#(?!!)|//|;|--)[^\n]*)?\r?\n)*")
_INTERPRETER = re.compile(r"#![ \t]*(?:\S*/)?(?:env[ \t]+(?:-S[ \t]+)?)?(?P<name>[\w.+-]+)")
_SHELLS = re.compile(
    r"(?:ba|da|a|z|k|mk|pdk)?sh|busybox|python[0-9.]*|uv|make|just|fish|pwsh|powershell|srun|sbatch|env"
)


def in_document(text: str, at: int) -> bool:
    """Whether a place is behind the begin of a here-document, so that a shell may write what stands there."""
    return _DOCUMENT.search(text, 0, at) is not None


def _pattern(pattern: str, *names: str, flags: re.RegexFlag = re.MULTILINE) -> Callable[[Script], Span | None]:
    """By the name's end, or by what stands in the text; a text with ``#!`` names its own interpreter."""
    compiled = re.compile(pattern, flags)

    def shows(script: Script) -> Span | None:
        if script.text.startswith("#!"):
            return None
        found = compiled.search(script.text)
        if found and not in_document(script.text, found.start()):
            return found.span()
        if script.file.lower().endswith(names or ("\0",)):
            blank = _BLANK.match(script.text)
            start = blank.end() if blank else 0
            return start, start + 1
        return None

    return shows


def _toml(pattern: str, name: str) -> Callable[[Script], Span | None]:
    """By the name's end, or by its first lines where the whole text is TOML: a shell text may begin like it."""
    by_name, by_text = _pattern(r"(?!)", name), _pattern(pattern)

    def shows(script: Script) -> Span | None:
        span, named = by_text(script), by_name(script)
        if span is None or named is not None:
            return span or named
        try:
            tomllib.loads(script.text)
        except (ValueError, RecursionError):
            return None
        return span

    return shows


def _json(script: Script) -> Span | None:
    start = len(script.text) - len(script.text.lstrip())
    if script.text[start : start + 1] not in ("{", "[") or script.file.lower().endswith((".yaml", ".yml")):
        return None
    try:
        json.loads(script.text)
    except (ValueError, RecursionError):
        return (start, start + 1) if script.file.lower().endswith((".json", ".jsonc")) else None
    return start, start + 1


def _interpreter(name: str) -> Callable[[Script], Span | None]:
    compiled = re.compile(name)

    def shows(script: Script) -> Span | None:
        found = _INTERPRETER.match(script.text)
        return found.span() if found and compiled.fullmatch(found["name"]) else None

    return shows


def _other(script: Script) -> Span | None:
    found = _INTERPRETER.match(script.text)
    return found.span() if found and not _SHELLS.fullmatch(found["name"]) else None


_RUN = "import the command that it runs, as a shell text"

_PROGRAMS = (
    ("Perl", "perl", (".pl", ".pm")),
    ("Ruby", "ruby", (".rb",)),
    ("JavaScript", "node|deno|bun", (".js", ".mjs", ".cjs", ".ts")),
    ("PHP", "php", (".php",)),
    ("Lua", "lua(?:jit)?", (".lua",)),
    ("R", "Rscript|R", (".r",)),
    ("AWK", "[gm]?awk", (".awk",)),
    ("Expect", "expect|tclsh", (".exp", ".tcl")),
    ("AppleScript", "osascript", (".scpt", ".applescript")),
    ("Go", "go", (".go",)),
    ("Rust", "rust-script", (".rs",)),
    ("Java", "java", (".java",)),
    ("C", "tcc", (".c", ".cc", ".cpp", ".cu")),
)


def _program(name: str, interpreter: str, suffixes: tuple[str, ...]) -> Format:
    by_name, by_suffix = _interpreter(interpreter), _pattern(r"(?!)", *suffixes)
    return Format(name=name, shows=lambda script: by_name(script) or by_suffix(script), advice=_RUN)


FORMATS: tuple[Format, ...] = (
    Format(
        name="a csh script", shows=_interpreter("t?csh"), advice="write it for sh: export X=Y in place of setenv X Y"
    ),
    Format(
        name="a csh script",
        shows=_pattern(r"^[ \t]*setenv[ \t]+[A-Za-z_]\w*[ \t]+\S", ".csh", ".tcsh"),
        advice="write it for sh: export X=Y in place of setenv X Y",
    ),
    Format(name="a Nushell script", shows=_interpreter("nu"), advice=_RUN),
    Format(
        name="a Nushell script",
        shows=_pattern(
            r"^[ \t]*(?:\$env\.\w+[ \t]*=|let[ \t]+\w+[ \t]+=[ \t]+[\"'\[{0-9]|(?:export )?def (?:--env )?[\w-]+ \[)",
            ".nu",
        ),
        advice=_RUN,
    ),
    Format(
        name="Terraform (HCL)",
        shows=_pattern(
            r"^(?:resource|data)[ \t]+\"[\w-]+\"[ \t]+\"[\w-]+\"[ \t]*\{"
            r"|^(?:provider|module|variable|output)[ \t]+\"[\w-]+\"[ \t]*\{"
            r"|^(?:terraform|locals)[ \t]*\{",
            *(".tf", ".tf.json", ".tfvars"),
        ),
        advice=_RUN,
    ),
    Format(
        name="a Nomad job (HCL)",
        shows=_pattern(r"^job[ \t]+\"[^\"\n]+\"[ \t]*\{", ".nomad", ".nomad.hcl"),
        advice="import the container's command with `docker run IMAGE` before it",
    ),
    Format(name="HCL", shows=_pattern(r"^(?:target|group)[ \t]+\"[\w-]+\"[ \t]*\{", ".hcl"), advice=_RUN),
    Format(
        name="a Nix expression",
        shows=_pattern(
            r"^[ \t]*\{[^{}\n]*\b(?:pkgs|lib|config|stdenv)\b[^{}\n]*\}[ \t]*:"
            r"|^[ \t]*(?:with|import)[ \t]+(?:import[ \t]+)?<nixpkgs>",
            ".nix",
        ),
        advice="import the unit or the command that it makes",
    ),
    Format(
        name="TOML",
        shows=_toml(
            r"\A(?:[ \t]*(?:#[^\n]*)?\r?\n)*(?:\[\[?[A-Za-z][\w.\"-]*\]\]?[ \t]*(?:#[^\n]*)?\r?\n"
            r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*[\w.\"-]+[ \t]*=[ \t]+\S"
            r"|[A-Za-z][\w-]*[ \t]+=[ \t]+(?:\"[^\n]*\"|'[^\n]*'|[0-9.]+|true|false|\[[^\n]*)[ \t]*(?:#[^\n]*)?\r?\n)",
            ".toml",
        ),
        advice=_RUN,
    ),
    Format(
        name="HTML",
        shows=_pattern(r"\A\s*<(?:!DOCTYPE html|html|head|body)\b", ".html", ".htm", flags=re.IGNORECASE),
        advice="copy the command out of the page",
    ),
    Format(name="XML", shows=_pattern(r"\A\s*<\?xml\b", ".xml", ".plist"), advice=_RUN),
    Format(
        name="JavaScript",
        shows=_pattern(
            r"^(?:module\.exports[ \t]*=|export[ \t]+default\b|(?:const|var)[ \t]+\w+[ \t]*=[ \t]*require\()",
            ".js",
            ".mjs",
            ".cjs",
            ".ts",
        ),
        advice=_RUN,
    ),
    Format(
        name="a Jenkinsfile (Groovy)",
        shows=_pattern(r"^pipeline[ \t]*\{", "jenkinsfile", ".groovy"),
        advice="import the text of its `sh` step",
    ),
    *(_program(name, interpreter, suffixes) for name, interpreter, suffixes in _PROGRAMS),
    Format(name="a program for another interpreter than a shell", shows=_other, advice=_RUN),
)

LAST: tuple[Format, ...] = (
    Format(name="JSON", shows=_json, advice="SGLang's own --config takes YAML alone: name the file .yaml if it is one"),
)
"""Formats that others are written in: refused where none of those claims the text."""
