"""``glmdeploy rules``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.rules.rule import Rule

_PROSE = 100
"""Columns of prose at most."""

_WAIVED_FOR = timedelta(days=90)
"""How long the waiver holds that is shown to be pasted."""


EPILOG = """\b
Examples:
  glmdeploy rules         # how many there are of which topic
  glmdeploy rules fp8     # those that have a word
  glmdeploy rules GLM001  # all of one
  glmdeploy rules GLM001 --json
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("name", required=False, metavar="[ID|TOPIC|WORD]", shell_complete=complete.rules)
@common.json_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    help="How to show them; docs/rules.md is the markdown.  [default: text]",
)
@click.option("--write", is_flag=True, help="Renew the files that are made from the rules, at the root of a checkout.")
@click.option("--look", is_flag=True, help="List the rules to hold against the newest release; exit code 1 if any.")
@common.all_option("List all rules, and all examples of one.")
def rules(name: str | None, as_json: bool, form: str | None, write: bool, look: bool, everything: bool) -> int:
    """List the guard rules, or show all of one. That is: why, what to do, how to waive it, sources, examples.

    Of a topic, of a beginning of ids such as GLM02, or with a word in what they say, rules are listed.
    """
    from glmdeploy.report.rules import markdown
    from glmdeploy.rules import registry

    if write:
        if name or as_json or form or look:
            raise UsageError("`--write` shows nothing: leave out the rule's id and the format")
        for file, text in made(Path()).items():
            common.write(Path(file), text)
        return 0
    if look:
        if name or form:
            raise UsageError("`--look` lists rules by itself: leave out the rule's id and the format")
        return _look(as_json=as_json)
    form = common.one_format(form, as_json=as_json, default="text")
    if name is not None:
        _show(name, form, everything=everything)
    elif form == "json":
        common.echo_json([_data(rule) for rule in registry.rules()])
    elif form == "markdown":
        click.echo(markdown(registry.rules(), registry.RETIRED, _mended), nl=False)
    elif everything:
        _list(registry.rules())
    else:
        _overview(registry.rules())
    return 0


def _look(*, as_json: bool) -> int:
    """The exit code: 1 where a rule is due."""
    from glmdeploy.report.look import look_data, look_text
    from glmdeploy.rules import registry
    from glmdeploy.sglang.catalog import versions

    newest = versions()[-1]
    found = registry.due(registry.rules(), newest)
    common.echo_json(look_data(found, newest)) if as_json else click.echo(look_text(found, newest))
    return int(bool(found))


def _list(some: Sequence[Rule]) -> None:
    from glmdeploy.report.rules import listing

    click.echo(listing(some, common.width()))
    common.hint("`glmdeploy rules ID` tells all about one")


def _overview(everything: Sequence[Rule]) -> None:
    from glmdeploy.findings import CHECKS
    from glmdeploy.report.rules import overview
    from glmdeploy.report.wrap import wrapped

    click.echo(overview(everything, common.width()))
    click.echo(wrapped(f"checks before the rules: {', '.join(CHECKS)}", common.width()))
    common.hint(
        "`glmdeploy rules ID` tells all about one, `glmdeploy rules timeouts` lists those of a topic, "
        "`glmdeploy rules fp8` those with a word, `glmdeploy rules --all` all"
    )


def _show(name: str, form: str, *, everything: bool) -> None:
    from glmdeploy.findings import CHECKS
    from glmdeploy.report.grid import UNLIMITED
    from glmdeploy.report.rules import markdown_section, matching, page
    from glmdeploy.report.wrap import wrapped
    from glmdeploy.rules import judge, registry

    known = {rule.id: rule for rule in registry.rules()}
    stories = {**CHECKS, **{gone: f"retired: {story}" for gone, story in registry.RETIRED.items()}}
    identity = name.lower() if name.lower() in CHECKS else name.upper()
    if identity in stories:
        story = {"id": identity, "title": stories[identity]}
        common.echo_json(story) if form == "json" else click.echo(
            wrapped(f"{identity}: {story['title']}", common.width())
        )
    elif identity not in known:
        some = [] if re.fullmatch(r"GLM[0-9]{3}", identity) else matching(registry.rules(), name)
        if not some:
            raise judge.unknown(name, [*known, *stories])
        if form == "json":
            common.echo_json([_data(rule) for rule in some])
        elif form == "markdown":
            click.echo("\n".join(markdown_section(rule, mended=_mended(rule)) for rule in some), nl=False)
        else:
            _list(some)
    elif form == "json":
        common.echo_json(_data(known[identity]))
    elif form == "markdown":
        click.echo(markdown_section(known[identity], mended=_mended(known[identity])), nl=False)
    else:
        rule = known[identity]
        until = (datetime.now(UTC) + _WAIVED_FOR).date()
        width = common.width()
        width = width if width >= UNLIMITED else min(width, _PROSE)
        click.echo(page(rule, mended=_mended(rule), until=until, width=width, everything=everything))


def _data(rule: Rule) -> dict[str, object]:
    from glmdeploy.report.rules import rule_data

    return rule_data(rule, mended=_mended(rule))


def made(root: Path) -> dict[str, str]:
    """The files of the checkout at ``root`` that are made from the rules: path and text.

    :raises GlmdeployError: if there is no checkout, or an id that was released is lost.
    """
    from glmdeploy.report.rules import markdown, places
    from glmdeploy.rules import registry, tables
    from glmdeploy.rules.check import tried

    released = "tests/rules/released.txt"
    if not (root / released).is_file():
        raise GlmdeployError(
            f"there is no {released} here to renew",
            advice="run this at the root of a checkout of glmdeploy's repository",
        )
    ids = registry.reserved((root / released).read_text(encoding="utf-8").split())
    return {
        "glmdeploy/rules/guards/tables.json": tables.written(),
        "docs/rules.md": markdown(registry.rules(), registry.RETIRED, _mended),
        released: "".join(f"{name}\n" for name in ids),
        "tests/rules/places.txt": places(registry.rules(), tried),
    }


def _mended(rule: Rule) -> bool:
    """Whether `validate --fix` can mend the rule in one of its examples: an edit may depend on the profile."""
    from glmdeploy.rules.check import tried

    return any(found.edits for example in rule.fails for found in tried(rule, example))
