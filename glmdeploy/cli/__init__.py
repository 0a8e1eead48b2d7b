"""The command line. A command is a function; expected failures, Ctrl-C and bugs leave through one door, :func:`run`.

Importing this package loads neither modal nor jsonschema, huggingface_hub, pydantic or YAML: the commands import
what they need when they run.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
import threading
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import __version__, redaction
from glmdeploy.cli import common, streams
from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
EXIT_SECONDS = 5.0
"""The longest wait for the SDK's own end, once everything is said."""


COMMANDS = {
    "validate": "validate.validate",
    "plan": "plan.plan",
    "show": "show.show",
    "apply": "apply.apply",
    "rollback": "rollback.rollback",
    "rollover": "rollover.rollover",
    "status": "status.status",
    "logs": "logs.logs",
    "history": "history.history",
    "list": "list_.list_",
    "open": "open_.open_",
    "cost": "cost.cost",
    "clean": "clean.clean",
    "destroy": "destroy.destroy",
    "verify": "verify.verify",
    "diff": "diff.diff",
    "explain": "explain.explain",
    "size": "size.size",
    "rules": "rules.rules",
    "upgrade": "upgrade.upgrade",
    "pin": "pin.pin",
    "import": "import_.import_",
    "render": "render.render",
    "command": "command.command",
    "catalog": "catalog.catalog",
    "schema": "schema.schema",
    "completion": "completion.completion",
    "local": "local.local",
}
"""Where each command is, in the order of ``--help``. Only the one that is called is imported."""


class Commands(click.Group):
    """The commands of the table."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # For click's own suggestions, which look at the names alone.
        self.commands = dict.fromkeys(COMMANDS, click.Command(None))

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, function = COMMANDS[name].split(".")
        command: click.Command = getattr(import_module(f"glmdeploy.cli.{module}"), function)
        return common.with_quiet(command)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 success; 1 a problem with a profile or at run time; 2 wrong usage; 130 Ctrl-C. "
    "diff: 0 the same, 1 different, 2 trouble. plan --detailed-exitcode: 0 no changes, 1 error, 2 changes.",
)
@click.version_option(__version__, prog_name="glmdeploy")
@click.option("-q", "--quiet", is_flag=True, help="Only the result and errors; each command takes this too.")
@click.option("-v", "--verbose", is_flag=True, help="Show all detail; so does the --all of a command.")
@click.option("--no-color", is_flag=True, help="No colors; so does NO_COLOR. FORCE_COLOR asks for them.")
@click.pass_context
def group(context: click.Context, quiet: bool, verbose: bool, no_color: bool) -> None:
    """Deploy large language models with SGLang on Modal, from a YAML profile.

    A PROFILE is a path, the bare name of a profile in ./profiles or of one that ships with glmdeploy, or - for
    standard input.
    """
    if no_color or os.environ.get("NO_COLOR"):
        context.color = False
    elif os.environ.get("FORCE_COLOR"):
        context.color = True
    common.begin(quiet=quiet, verbose=verbose, color=context.color)


def entry() -> None:
    """The console script."""
    # A command ends soon: collecting garbage between imports was a fifth of the time of `validate`.
    gc.set_threshold(100_000, 50, 50)
    streams.install()
    try:
        code = run(sys.argv[1:])
    except SystemExit as end:  # click's, once it has printed a script for completion
        code = end.code if isinstance(end.code, int) else 0
    if lacks := streams.fault():
        common.tell(f"error: cannot write to standard output: {lacks}")
        code = code or 1
    if "glmdeploy.operate.asking" in sys.modules:
        _leave_in_time(code)
    sys.exit(code)


def _leave_in_time(code: int) -> None:
    """End the process by force where the SDK would wait at its end for a server that answers no more."""
    from glmdeploy.operate.asking import left

    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        if left():
            os._exit(code)
        watch = threading.Timer(EXIT_SECONDS, os._exit, (code,))
        watch.daemon = True
        watch.start()


def run(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code. Prints every failure; raises nothing."""
    as_json = _wants_json(arguments)
    common.begin()
    try:
        code = group.main(args=list(arguments), prog_name="glmdeploy", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        if as_json:
            click.echo(json.dumps({"error": {"message": redaction.mask(error.format_message())}}))
        error.show(shown := io.StringIO())
        common.tell(shown.getvalue().removesuffix("\n"))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        common.tell("Interrupted.")
        return INTERRUPTED
    except GlmdeployError as error:
        _report(error, as_json=as_json)
        return error.exit_code
    except Exception as error:
        if os.environ.get("GLMDEPLOY_DEBUG"):
            raise
        common.tell(
            f"glmdeploy has a bug: {type(error).__name__}: {error}\n"
            "Please report it, with the traceback that GLMDEPLOY_DEBUG=1 shows."
        )
        return 1


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether standard output is to be JSON: asked before click reads the arguments, which may be wrong."""
    formats = (*arguments, *map("=".join, pairwise(arguments)))
    return "--json" in arguments or "--format=json" in formats


def _report(error: GlmdeployError, *, as_json: bool) -> None:
    if as_json:
        from glmdeploy.report.run import error_data

        click.echo(json.dumps(error_data(error), ensure_ascii=False))
    else:
        from glmdeploy.report.text import error_text

        click.echo(error_text(error, common.width(err=True)), err=True, color=common.color())
