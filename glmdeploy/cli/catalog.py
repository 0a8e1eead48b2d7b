"""``glmdeploy catalog``: what each SGLang release understands."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import DocumentedGroup
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from glmdeploy.sglang.catalog import Catalog, Option


EPILOG = """\b
Examples:
  glmdeploy catalog list                          # the releases
  glmdeploy catalog show 0.5.23 --kv-cache-dtype  # an option of one
"""
LIST = """\b
Examples:
  glmdeploy catalog list
  glmdeploy catalog list --json
"""
SHOW = """\b
Examples:
  glmdeploy catalog show 0.5.23 --kv-cache-dtype            # an option
  glmdeploy catalog show 0.5.23 SGLANG_ENABLE_JIT_DEEPGEMM  # a variable
  glmdeploy catalog show 0.5.23 --json                      # all of them
"""
DIFF = """\b
Examples:
  glmdeploy catalog diff 0.5.11 0.5.23
  glmdeploy catalog diff 0.5.22 0.5.23 --json

Exit codes: 0 the same, 1 different, 2 trouble.
"""
BUILD = """\b
Examples:
  glmdeploy catalog build 0.5.23  # where the catalogs are
  glmdeploy catalog build 0.5.23 --out catalogs --cache /var/tmp/wheels
"""


@click.group(cls=DocumentedGroup, epilog=EPILOG)
def catalog() -> None:
    """Show the options and variables of each SGLang release. They were read from its published wheel."""


@catalog.command("list", epilog=LIST)
@common.json_option
def list_(as_json: bool) -> None:
    """Show the releases that there are catalogs of."""
    from glmdeploy.report.catalog import release_data, release_line
    from glmdeploy.sglang.catalog import load, versions

    releases = [load(version) for version in versions()]
    if as_json:
        click.echo(json.dumps([release_data(release) for release in releases], indent=2))
    else:
        click.echo("\n".join(map(release_line, releases)))


# So that an option can be given with its dashes.
@catalog.command(context_settings={"ignore_unknown_options": True}, epilog=SHOW)
@click.argument("version", shell_complete=complete.releases)
@click.argument("option", required=False, shell_complete=complete.options)
@common.all_option("List all options and variables.")
@common.json_option
def show(version: str, option: str | None, everything: bool, as_json: bool) -> None:
    """Show one OPTION (in any spelling) or variable of a release; how many there are, or with --all each of them."""
    from glmdeploy.report import catalog
    from glmdeploy.report.catalog import entry_text, option_data, variable_data
    from glmdeploy.report.wrap import wrapped

    release = _load(version)
    if option is None:
        data = catalog.catalog_data(release)
        text = catalog.catalog_text(release) if everything else catalog.catalog_overview(release)
    else:
        data = (
            variable_data(option, release.env[option]) if option in release.env else option_data(_find(release, option))
        )
        text = entry_text(data)
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else wrapped(text, common.width()))
    if option is None and not everything and not as_json:
        common.hint(f"`glmdeploy catalog show {version} OPTION` tells one, --all lists them all")


@catalog.command(epilog=DIFF)
@click.argument("old", shell_complete=complete.releases)
@click.argument("new", shell_complete=complete.releases)
@common.all_option("Show each difference, also of variables.")
@common.json_option
def diff(old: str, new: str, everything: bool, as_json: bool) -> int:
    """Show what changes from release OLD to release NEW."""
    from glmdeploy.report.catalog import differences_text
    from glmdeploy.sglang.releases import diff

    try:
        differences = diff(_load(old), _load(new))
    except GlmdeployError as error:
        error.exit_code = 2
        raise
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in differences], indent=2, ensure_ascii=False))
    else:
        click.echo(differences_text(differences, common.width(), everything=everything))
    return int(bool(differences))


@catalog.command(epilog=BUILD)
@click.argument("version")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the catalogs.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Keeps wheels and environments.")
@common.json_option
def build(version: str, out: Path | None, cache: Path | None, as_json: bool) -> None:
    """Make a release's catalog from its published wheel; the first time takes minutes and about 1.5 GB."""
    from glmdeploy.sglang.catalog import read, version_key
    from glmdeploy.sglang.catalog_build import build

    try:
        version_key(version)
    except ValueError:
        raise UsageError(f"`{version}` is not a version such as 0.5.23") from None
    paths = build(version, out=out, cache=cache)
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
            advice=f"known releases: {', '.join(error.known)}; `glmdeploy catalog build {version}` makes another one",
        ) from None


def _find(release: Catalog, name: str) -> Option:
    from glmdeploy.sglang import advice
    from glmdeploy.sglang.catalog import OptionError
    from glmdeploy.sglang.command import RESERVED

    try:
        return release.find(name)
    except OptionError as error:
        given = advice.unknown(name, True, release, (), RESERVED)
        near = f"Similar: {', '.join(error.candidates)}." if error.candidates and not given.reason else None
        raise GlmdeployError(f"{error}{given.reason}" + (f"; {given.fix}" if given.fix else ""), advice=near) from None
