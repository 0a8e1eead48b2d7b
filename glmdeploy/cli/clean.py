"""``glmdeploy clean``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from glmdeploy.cli import app, common, following, target_options
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.report.words import count_bytes

if TYPE_CHECKING:
    from glmdeploy.operate.leftovers import Leftover

EPILOG = """\b
Examples:
  glmdeploy clean --dry-run    # what could go, with bytes
  glmdeploy clean --keep 0 -y  # keep what runs, and nothing to go back to
  glmdeploy clean -e staging   # another Environment
"""


@click.command(cls=Documented, epilog=EPILOG)
@target_options.target_options
@click.option(
    "--keep",
    type=click.IntRange(0, 100),
    default=2,
    show_default=True,
    metavar="N",
    help="How many earlier plans of each app stay, beside the one that runs.",
)
@click.option(
    "--grace",
    type=click.IntRange(0),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="What was written within so many seconds stays: an apply elsewhere may be about to need it.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@common.verbose_option
@common.json_option
def clean(where: str, environment: str | None, keep: int, grace: int, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Remove weights, kernels and plans that no version needs.

    The deployed and the kept versions of every app in the Environment count. Only what glmdeploy has put into its
    volumes, and can name, is removed; volumes never are. Downloads under way, and volumes that other apps use, are left
    alone. An app whose plan cannot be read stops it.
    """
    from glmdeploy.local.cloud import home
    from glmdeploy.operate.target import connect

    common.quiet()
    target = connect(where, None, environment, reading=True)
    following.kept(target.environment or "all", "clean")

    from glmdeploy.operate.clean import remove, survey
    from glmdeploy.report import clean

    with busy("clean", "reading what is deployed, and what the volumes hold", quiet=common.is_quiet()):
        found = survey(target, keep=keep, grace=grace)
        if found.leftovers and not dry_run and target.asleep:
            target = connect(where, None, environment)
            found = survey(target, keep=keep, grace=grace)
    if not as_json and not (common.is_quiet() and yes):
        common.echo(clean.survey_text(found, target))
    removed: list[Leftover] = []
    if found.leftovers and not dry_run:
        question = f"Remove {clean.bytes_text(found.leftovers)}?"
        app.confirm(question, yes=yes, as_json=as_json, refused="nothing was removed")
        whole = sum(each.size for each in found.leftovers)
        with busy("clean", "looking again", quiet=common.is_quiet()) as waiting:
            for leftover in remove(found, target, home() / "locks", keep=keep, grace=grace):
                removed.append(leftover)
                if not common.is_quiet():
                    waiting.say(f"removed {clean.leftover_text(leftover)}", err=True)
                done = sum(each.size for each in removed)
                waiting.tell(f"{count_bytes(done)} of {count_bytes(whole)}", done=done, whole=whole)
        if len(removed) < len(found.leftovers):
            common.note(clean.kept_after_all(len(found.leftovers) - len(removed)))
    if as_json:
        common.echo_json(clean.survey_data(found, removed))
