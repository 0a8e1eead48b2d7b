"""What an SGLang release understands, and how two differ, as text and as data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.findings import listed
from glmdeploy.report.grid import UNLIMITED
from glmdeploy.report.view import shown
from glmdeploy.report.words import counted
from glmdeploy.report.wrap import lines, whole, wrapped
from glmdeploy.sglang.releases import flags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.sglang.catalog import Catalog, EnvVar, Option
    from glmdeploy.sglang.releases import Difference

SCREEN = 36
"""Lines of differences that are told where not all are wanted."""

_FIELDS = ("flags", "dest", "action", "type", "choices", "default", "nargs", "required", "deprecated", "replacement")


def release_line(release: Catalog) -> str:
    """A release, and how much it understands."""
    return f"{release.version:<14}{len(release.options):>4} options  {len(release.env):>4} variables"


def release_data(release: Catalog) -> dict[str, Any]:
    """The same as JSON data, with the wheel that it was read from."""
    return {
        "version": release.version,
        "options": len(release.options),
        "variables": len(release.env),
        "wheel": release.wheel,
        "wheel_sha256": release.wheel_sha256,
    }


def catalog_text(release: Catalog) -> str:
    """All options and variables of a release, a line each."""
    return "\n".join((*map(_option_line, release.options), *(_variable_line(*item) for item in release.env.items())))


def catalog_overview(release: Catalog) -> str:
    """How much a release understands, and what is deprecated in it."""
    deprecated = [option.canonical for option in release.options if option.deprecated]
    counts = f"{counted(len(release.options), 'option')} and {counted(len(release.env), 'variable')}"
    text = f"SGLang {release.version} understands {counts}"
    return f"{text}\ndeprecated: {', '.join(deprecated)}" if deprecated else text


def catalog_data(release: Catalog) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "version": release.version,
        "options": [_option(each) for each in release.options],
        "variables": {name: dataclasses.asdict(variable) for name, variable in release.env.items()},
    }


def option_data(option: Option) -> dict[str, Any]:
    """One option as JSON data: with its help, and the first and the last release that have it."""
    span = flags()[option.canonical]
    return {**_option(option), "first": span.first, "last": span.last, "help": option.help}


def variable_data(name: str, variable: EnvVar) -> dict[str, Any]:
    """One variable as JSON data."""
    return {"name": name, **dataclasses.asdict(variable)}


def entry_text(data: Mapping[str, Any]) -> str:
    """What is known of an option or a variable, a line each; what a variable is not is left out."""
    nothing = (None, False) if "name" in data else (None,)
    return "\n".join(f"{key}: {_shown(value)}" for key, value in data.items() if value not in nothing)


def differences_text(differences: Sequence[Difference], width: int = UNLIMITED, *, everything: bool = True) -> str:
    """What changes between two releases, a line each, with Terraform's symbols.

    Without ``everything`` options alone, first those that went or changed, as many as a screen holds; the rest is
    counted, and so are variables.
    """
    if everything:
        told, made = list(differences), [_lines(each, width) for each in differences]
    else:
        told, made = _screenful(differences, width)
    text = "\n".join(line for block in made for line in block)
    rest = Counter(_kind(each) for each in differences if each not in told)
    if rest:
        counts = listed([f"{rest[kind]} {kind}" for kind in sorted(rest)])
        text += ("\n" if text else "") + wrapped(f"and {counts} (--all shows them)", width)
    return text or "no differences"


def _screenful(differences: Sequence[Difference], width: int) -> tuple[list[Difference], list[list[str]]]:
    """The differences of options, what is gone first and what is new last, as many as a screen holds; their lines."""
    options = [each for each in differences if each.name.startswith("-")]
    # A flag that an option got, such as its opposite, is no option that came.
    own = [each for each in options if each.field is not None or (each.new or each.old) == each.name]
    own.sort(key=lambda each: (each.field is not None) + 2 * (each.field is None and each.old is None))
    told: list[Difference] = []
    made: list[list[str]] = []
    for each in own:
        block = _lines(each, width)
        if sum(map(len, made)) + len(block) > SCREEN:
            break
        told.append(each)
        made.append(block)
    return told, made


def _lines(item: Difference, width: int) -> list[str]:
    return lines(_difference_line(item), width, indent=4)


def _kind(item: Difference) -> str:
    """``new options``, ``variables gone``: what is counted of a difference."""
    what = "options" if item.name.startswith("-") else "variables"
    return f"changes of {what}" if item.field else f"new {what}" if item.old is None else f"{what} gone"


def _option(option: Option) -> dict[str, Any]:
    return {"option": option.canonical, **{name: getattr(option, name) for name in _FIELDS}}


def _option_line(option: Option) -> str:
    kind = "|".join(map(str, option.choices)) if option.choices else option.type or "switch"
    default = "" if option.default in (None, False, "==SUPPRESS==") else f" = {shown(option.default)}"
    return f"{option.canonical} <{kind}>{default}{'  (deprecated)' if option.deprecated else ''}"


def _variable_line(name: str, variable: EnvVar) -> str:
    return f"{name} <{variable.type}>" + ("" if variable.default is None else f" = {shown(variable.default)}")


def _difference_line(item: Difference) -> str:
    if item.field is None:
        symbol, color, stands_for = ("+", "green", item.new) if item.old is None else ("-", "red", item.old)
        alias = f" ({stands_for})" if item.name.startswith("-") and stands_for != item.name else ""
        return f"{whole(f'{click.style(symbol, fg=color)} {item.name}')}{alias}"
    if item.field == "choices" and isinstance(item.old, tuple) and isinstance(item.new, tuple):
        change = " ".join([*(f"-{choice}" for choice in item.old), *(f"+{choice}" for choice in item.new)])
    else:
        change = f"{_shown(item.old)} -> {_shown(item.new)}"
    name = whole(f"{click.style('~', fg='yellow')} {item.name}")
    return f"{name} {item.field}: {change}"


def _shown(value: Any) -> str:
    """A value of a catalog; a tuple holds the choices of an option."""
    return (" ".join(map(str, value)) or "none") if isinstance(value, tuple) else shown(value)
