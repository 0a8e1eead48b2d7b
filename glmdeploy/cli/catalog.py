"""``glmdeploy catalog``: what each SGLang release understands."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from glmdeploy.sglang.catalog import Catalog, EnvVar, Option
    from glmdeploy.sglang.releases import Difference


@click.group()
def catalog() -> None:
    """The options and variables of each SGLang release, read from its published wheel."""


@catalog.command("list")
@common.json_option
def list_(as_json: bool) -> None:
    """Show the releases that there are catalogs of."""
    from glmdeploy.sglang.catalog import load, versions

    releases = [load(version) for version in versions()]
    if as_json:
        rows = [
            {
                "version": release.version,
                "options": len(release.options),
                "variables": len(release.env),
                "wheel": release.wheel,
                "wheel_sha256": release.wheel_sha256,
            }
            for release in releases
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for release in releases:
        click.echo(f"{release.version:<14}{len(release.options):>4} options  {len(release.env):>4} variables")


# So that an option can be given with its dashes.
@catalog.command(context_settings={"ignore_unknown_options": True})
@click.argument("version")
@click.argument("option", required=False)
@common.json_option
def show(version: str, option: str | None, as_json: bool) -> None:
    """Show one OPTION (in any spelling) or variable of a release, or all of them."""
    release = _load(version)
    if option is None:
        data: Any = {
            "version": release.version,
            "options": [_option_data(each) for each in release.options],
            "variables": {name: dataclasses.asdict(variable) for name, variable in release.env.items()},
        }
        lines = [*map(_option_line, release.options), *(_variable_line(*item) for item in release.env.items())]
    elif option in release.env:
        data = {"name": option, **dataclasses.asdict(release.env[option])}
        lines = [f"{key}: {_shown(value)}" for key, value in data.items() if value not in (None, False)]
    else:
        data = _explained(_find(release, option))
        lines = [f"{key}: {_shown(value)}" for key, value in data.items() if value is not None]
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))


@catalog.command()
@click.argument("old")
@click.argument("new")
@common.json_option
def diff(old: str, new: str, as_json: bool) -> int:
    """Show what changes from release OLD to release NEW. Exit code: 0 the same, 1 different, 2 trouble."""
    from glmdeploy.sglang.releases import diff as compare

    try:
        differences = compare(_load(old), _load(new))
    except GlmdeployError as error:
        error.exit_code = 2
        raise
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in differences], indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(map(_difference_line, differences)) or "No changes.")
    return int(bool(differences))


@catalog.command()
@click.argument("version")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the catalogs.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps wheels and environments.")
@common.json_option
def build(version: str, out: Path | None, cache: Path | None, as_json: bool) -> None:
    """Make a release's catalog from its published wheel; the first time takes minutes and about 1.5 GB."""
    from glmdeploy.sglang.catalog import read, version_key
    from glmdeploy.sglang.catalog_build import build as make

    try:
        version_key(version)
    except ValueError:
        raise UsageError(f"{version!r} is not a version such as 0.5.23") from None
    paths = make(version, out=out, cache=cache)
    if as_json:
        click.echo(json.dumps({"path": str(paths[0]), "options": len(read(paths[0]).options)}))
    else:
        click.echo("\n".join(map(str, paths)))


def _load(version: str) -> Catalog:
    from glmdeploy.sglang.catalog import UnknownVersion, load

    try:
        return load(version)
    except UnknownVersion as error:
        raise GlmdeployError(
            f"there is no catalog of SGLang {version}",
            advice=f"Known releases: {', '.join(error.known)}. `glmdeploy catalog build {version}` makes another one.",
        ) from None


def _find(release: Catalog, name: str) -> Option:
    from glmdeploy.sglang.catalog import OptionError
    from glmdeploy.sglang.releases import unknown_option

    try:
        return release.find(name)
    except OptionError as error:
        reason, fix = unknown_option(name, True, release.version)
        near = f"Similar: {', '.join(error.candidates)}." if error.candidates and not reason else None
        raise GlmdeployError(f"{error}{reason}" + (f"; {fix}" if fix else ""), advice=near) from None


def _option_data(option: Option) -> dict[str, Any]:
    names = ("flags", "dest", "action", "type", "choices", "default", "nargs", "required", "deprecated", "replacement")
    return {"option": option.canonical, **{name: getattr(option, name) for name in names}}


def _explained(option: Option) -> dict[str, Any]:
    from glmdeploy.sglang.releases import flags

    span = flags()[option.canonical]
    return {**_option_data(option), "first": span.first, "last": span.last, "help": option.help}


def _option_line(option: Option) -> str:
    kind = "|".join(map(str, option.choices)) if option.choices else option.type or "switch"
    default = "" if option.default in (None, False, "==SUPPRESS==") else f" = {_shown(option.default)}"
    return f"{option.canonical} <{kind}>{default}{'  (deprecated)' if option.deprecated else ''}"


def _variable_line(name: str, variable: EnvVar) -> str:
    return f"{name} <{variable.type}>" + ("" if variable.default is None else f" = {_shown(variable.default)}")


def _difference_line(item: Difference) -> str:
    if item.field is None:
        symbol, color, stands_for = ("+", "green", item.new) if item.old is None else ("-", "red", item.old)
        alias = f" ({stands_for})" if item.name.startswith("-") and stands_for != item.name else ""
        return f"{click.style(symbol, fg=color)} {item.name}{alias}"
    if item.field == "choices" and isinstance(item.old, tuple) and isinstance(item.new, tuple):
        change = " ".join([*(f"-{choice}" for choice in item.old), *(f"+{choice}" for choice in item.new)])
    else:
        change = f"{_shown(item.old)} -> {_shown(item.new)}"
    return f"{click.style('~', fg='yellow')} {item.name} {item.field}: {change}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
