"""``glmdeploy report``."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import ProfileError, UsageError

if TYPE_CHECKING:
    from glmdeploy.cli.common import Asking
    from glmdeploy.report.page.subject import Compared, Subject

SETS = "--set"
"""What findings call the place of a value of that option."""

EPILOG = """\b
Examples:
  glmdeploy report mine -o mine.html
  glmdeploy report mine --compare live:glm51-fp8 -o change.html
  glmdeploy report mine --compare git:main:profiles/mine.yaml --format markdown
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file; left out: to standard output.",
)
@click.option(
    "--format",
    "name",
    type=click.Choice(["html", "markdown", "json"]),
    help="A page, a comment for a pull request, or data.  [default: html]",
)
@click.option(
    "--compare",
    "other",
    metavar="OTHER",
    shell_complete=complete.sides,
    help="Tell what changes from OTHER: a profile, live:APP, live:APP@VERSION or git:REVISION:PATH.",
)
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The day on the report, and for waivers.  [default: today]",
)
@common.profile_options
@common.model_options
@target_options.target_options
@common.json_option
def report(
    profile: str,
    output: Path | None,
    name: str | None,
    other: str | None,
    day: datetime | None,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    model_config: Path | None,
    ask_hub: bool,
    where: str,
    environment: str | None,
    as_json: bool,
) -> int:
    """Write what a profile deploys, takes and costs as one page. The page loads nothing.

    What it deploys, takes and costs, what is found in it, and what changes. The exit code is 1 where the profile has
    errors; the report tells them. Nothing is asked of Modal but what runs, for --compare live:APP, and nothing of the
    Hugging Face Hub without --ask-hub. Overlays and --set are of PROFILE alone.
    """
    from glmdeploy.report.page import markdown
    from glmdeploy.report.page.document import page
    from glmdeploy.report.page.findings import summary
    from glmdeploy.report.page.subject import Report

    kind = common.one_format(name, as_json=as_json, default="html")
    if kind == "html" and output is None and sys.stdout.isatty():
        raise UsageError("a page is for a browser", advice="write it to a file, such as -o report.html")
    today = day.date() if day else datetime.now(UTC).date()
    ask = common.asking(model_config, ask_hub=ask_hub)
    mine = _subject(profile, today, ask, overlays, sets)
    compared = _compared(other, today, ask, where, environment) if other is not None else None
    found = Report(subject=mine, day=today, compared=compared)
    if kind == "json":
        common.echo_json(markdown.report_data(found))
        return int(mine.plan is None)
    text = page(found) if kind == "html" else markdown.report_markdown(found)
    if output is None:
        click.echo(text, nl=False)
    else:
        common.write(output, text)
    if mine.plan is None:
        common.note(f"`glmdeploy validate` refuses this profile: {summary(mine)}")
    return int(mine.plan is None)


def _subject(
    name: str, today: date, ask: Asking, overlays: tuple[str, ...] = (), sets: tuple[str, ...] = ()
) -> Subject:
    """What follows from a profile; one that cannot be read has findings alone."""
    from glmdeploy.authoring import sides
    from glmdeploy.report.page.subject import Subject, subject
    from glmdeploy.rules.check import check

    try:
        document = sides.document(name, overlays, sets)
    except ProfileError as error:
        if all(found.location.file == SETS or not found.location.text for found in error.findings):
            raise  # the call is wrong, or nothing could be read: there is nothing to tell of
        return Subject(name=name, findings=error.findings)
    return subject(name, check(document, today=today, checkpoint=ask(document)))


def _compared(text: str, today: date, ask: Asking, where: str, environment: str | None) -> Compared:
    from glmdeploy.authoring import sides
    from glmdeploy.report.page.subject import Compared

    named = sides.live(text)
    if named is None:
        old = _subject(text, today, ask)
        return Compared(name=text, subject=old, data=old.plan.data() if old.plan else None)
    from glmdeploy.cli.app import plan_data
    from glmdeploy.operate.target import connect

    app, number = named
    return Compared(name=text, data=plan_data(app, number, connect(where, None, environment, reading=True)))
