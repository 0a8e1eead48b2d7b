"""``glmdeploy show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import DeployError, LocalCloudError, UsageError

if TYPE_CHECKING:
    from glmdeploy.plan.saved import Saved


EPILOG = """\b
Examples:
  glmdeploy show prod.plan             # what `plan --out prod.plan` saved
  glmdeploy show prod.plan --markdown  # for a comment on a pull request
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="PLAN")
@click.option("--all", "everything", is_flag=True, help="Every value, also those that do not change.")
@click.option("--offline", is_flag=True, help="Do not compare it with what runs now.")
@click.option("--markdown", "as_markdown", is_flag=True, help="As Markdown, for a comment on a pull request.")
@common.json_option
def show(file: Path, *, everything: bool, offline: bool, as_markdown: bool, as_json: bool) -> None:
    """Show a saved plan, and where the world has moved since.

    It is shown as it was when `plan --out` made it. A plan whose world has moved is shown all the same; `apply` refuses
    it.
    """
    from glmdeploy.plan.saved import load_saved
    from glmdeploy.report.plan import preview_text
    from glmdeploy.report.plan_markdown import preview_markdown
    from glmdeploy.report.words import iso, moment

    if as_json and as_markdown:
        raise UsageError("`--json` and `--markdown` contradict each other")
    common.quiet()
    saved = load_saved(file)
    warning, stale = ("not compared with what runs now", None) if offline else _compared(saved)
    try:
        text = "\n".join(preview_text(saved.shown, saved.plan, common.width(), everything=everything))
        markdown = preview_markdown(saved.shown, saved.plan)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise DeployError(f"{file} is no plan that can be used: what was shown of it is damaged") from None
    if warning:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        about = {"made_at": iso(saved.made_at), "release": saved.release, "digest": saved.plan.digest}
        common.echo_json({**saved.shown, "saved": {**about, "stale": stale, "warning": warning}})
    elif as_markdown:
        common.echo(markdown)
    else:
        common.echo(f"saved {moment(saved.made_at)} by glmdeploy {saved.release}\n\n{text}")


def _compared(saved: Saved) -> tuple[str | None, bool | None]:
    """What is to be said of a plan beside the world of today, and whether it is stale: None where nobody knows."""
    from glmdeploy.operate import target

    try:
        destination = target.connect(saved.target, saved.plan, saved.environment, reading=True)

        # What reads the SDK's configuration comes after the connection, which sets it.
        from glmdeploy.operate.saved import WorldMoved, saved_preview

        try:
            saved_preview(saved, destination)
        except WorldMoved as moved:
            return f"stale, `apply` refuses it: {moved.message}", True
    except (DeployError, LocalCloudError) as error:
        return f"not compared with what runs now: {error.message}", None
    return None, False
