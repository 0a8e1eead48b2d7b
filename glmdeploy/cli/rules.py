"""``glmdeploy rules``."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.rules.rule import Rule

_PROSE = 100
"""Columns of prose at most."""

_WAIVED_FOR = timedelta(days=90)
"""How long the waiver holds that is shown to be pasted."""


@click.command()
@click.argument("name", required=False, metavar="[ID]")
@common.json_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    help="How to show them; docs/rules.md is the markdown.  [default: text]",
)
def rules(name: str | None, as_json: bool, form: str | None) -> None:
    """List the guard rules, or show all of one: why, what to do, how to waive it, sources, examples."""
    from glmdeploy.report.rules import markdown
    from glmdeploy.rules import registry

    form = common.one_format(form, as_json=as_json, default="text")
    if name is not None:
        _show(name, form)
    elif form == "json":
        common.echo_json([_data(rule) for rule in registry.rules()])
    elif form == "markdown":
        click.echo(markdown(registry.rules(), registry.RETIRED, _mended), nl=False)
    else:
        _list(registry.rules())


def _list(everything: Sequence[Rule]) -> None:
    from glmdeploy.findings import CHECKS
    from glmdeploy.report.rules import table

    click.echo(table(everything, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    click.echo(f"\nChecks before the rules: {', '.join(CHECKS)}. `glmdeploy rules ID` tells all about one rule.")


def _show(name: str, form: str) -> None:
    from glmdeploy.findings import CHECKS
    from glmdeploy.report.rules import markdown_section, page
    from glmdeploy.rules import judge, registry

    known = {rule.id: rule for rule in registry.rules()}
    stories = {**CHECKS, **{gone: f"retired: {story}" for gone, story in registry.RETIRED.items()}}
    identity = name.lower() if name.lower() in CHECKS else name.upper()
    if identity in stories:
        story = {"id": identity, "title": stories[identity]}
        common.echo_json(story) if form == "json" else click.echo(f"{identity}: {story['title']}")
    elif identity not in known:
        raise judge.unknown(name, [*known, *stories])
    elif form == "json":
        common.echo_json(_data(known[identity]))
    elif form == "markdown":
        click.echo(markdown_section(known[identity], mended=_mended(known[identity])), nl=False)
    else:
        rule = known[identity]
        until = (datetime.now(UTC) + _WAIVED_FOR).date()
        width = min(shutil.get_terminal_size((_PROSE, 0)).columns, _PROSE)
        click.echo(page(rule, mended=_mended(rule), until=until, width=width))


def _data(rule: Rule) -> dict[str, object]:
    from glmdeploy.report.rules import rule_data

    return rule_data(rule, mended=_mended(rule))


def _mended(rule: Rule) -> bool:
    """Whether `validate --fix` can mend the rule in one of its examples: an edit may depend on the profile."""
    from glmdeploy import source
    from glmdeploy.resolve import resolve
    from glmdeploy.resources import profiles_dir

    for example in rule.fails:
        document = source.load(str(profiles_dir() / f"{example.profile}.yaml"), sets=example.sets)
        if any(finding.id == rule.id and finding.edits for finding in resolve(document).findings):
            return True
    return False
