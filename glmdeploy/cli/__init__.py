"""The command line. A command is a function; expected failures, Ctrl-C and bugs leave through one door, :func:`run`.

Importing this package loads neither modal nor jsonschema, huggingface_hub, pydantic or YAML: the commands import
what they need when they run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import click

from glmdeploy import __version__, redaction
from glmdeploy.cli import common, streams
from glmdeploy.cli.commands import Commands
from glmdeploy.errors import GlmdeployError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
EXIT_SECONDS = 5.0
"""The longest wait for the SDK's own end, once everything is said."""


TABLE = {
    "Write a profile": {
        "init": ("init.init", "Find GPUs that a model fits on, and write a profile for it."),
        "import": ("import_.import_", "Turn a launch of SGLang that exists already into a profile."),
        "upgrade": ("upgrade.upgrade", "Pin a profile to another SGLang release."),
        "pin": ("pin.pin", "Write the model's commit and the image's digest into a profile."),
        "schema": ("schema.schema", "Show the JSON Schema of profiles, for editors."),
    },
    "Check it": {
        "validate": ("validate.validate", "Check profiles: syntax, schema, SGLang options and guard rules."),
        "diff": ("diff.diff", "Show what changes from OLD to NEW."),
        "explain": ("explain.explain", "Show what SGLang will really run with, and why."),
        "size": ("size.size", "Show how much memory, money and time a profile takes."),
        "report": ("report.report", "Write what a profile deploys, takes and costs as one page."),
        "command": ("command.command", "Show the profile's SGLang command, quoted for a shell."),
        "render": ("render.render", "Write the profile's Modal app as a script for `modal deploy`."),
    },
    "Deploy it": {
        "plan": ("plan.plan", "Show what `apply` would do, and what it would cost."),
        "show": ("show.show", "Show a saved plan, and where the world has moved since."),
        "apply": ("apply.apply", "Deploy a profile, once you agree, and see that it serves."),
        "rollback": ("rollback.rollback", "Go back to an earlier version of an app."),
        "rollover": ("rollover.rollover", "Replace an app's containers by fresh ones of the same version."),
        "destroy": ("destroy.destroy", "Stop an app for good."),
    },
    "Look after what runs": {
        "status": ("status.status", "Show what runs: version, containers, requests, drift, price."),
        "verify": ("verify.verify", "Check what a deployed endpoint does, and how fast."),
        "logs": ("logs.logs", "Show what the containers of an app say."),
        "history": ("history.history", "Show the versions of an app, and what each changed."),
        "list": ("list_.list_", "Show the deployed apps of an Environment, a line each."),
        "open": ("open_.open_", "Open an app's page on Modal's dashboard, or print its address."),
        "cost": ("cost.cost", "Show what apps cost: what Modal billed, and an estimate."),
        "clean": ("clean.clean", "Remove weights, kernels and plans that no version needs."),
    },
    "What is known": {
        "rules": ("rules.rules", "List the guard rules, or show all of one."),
        "catalog": ("catalog.catalog", "Show the options and variables of each SGLang release."),
    },
    "This machine": {
        "local": ("local.local", "Manage the embedded cloud, where deployments are rehearsed."),
        "completion": ("completion.completion", "Show the script that completes words in bash, zsh or fish."),
        "help": ("help_.help_", "Show what a command does."),
    },
}
"""Each command, in the order of ``--help``: its module and function, and the first sentence of its own help."""

COMMANDS = [name for group in TABLE.values() for name in group]


@click.group(
    cls=Commands,
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
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
    if "_GLMDEPLOY_COMPLETE" in os.environ:
        from glmdeploy.cli import complete_shells

        sys.exit(complete_shells.answer(group))
    streams.install()
    if not os.path.isdir(__path__[0]):  # noqa: PTH112 (pathlib is not needed yet)
        common.tell("error: glmdeploy does not run from within an archive: install it, with `pip install FILE`")
        sys.exit(1)
    try:
        code = run(sys.argv[1:])
    except SystemExit as end:  # click's, once it has printed a script for completion
        code = end.code if isinstance(end.code, int) else 0
    if lacks := streams.fault():
        common.tell(f"error: cannot write to standard output: {lacks}")
        code = code or 1
    if "glmdeploy.operate.asking" in sys.modules:
        _leave_in_time(code)
    # Else the interpreter looks through all that was imported, several times, for garbage that ends with the process:
    # with the SDK in memory that took 200 ms and more of the 1.2 s of `apply`.
    gc.freeze()
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
    except click.exceptions.NoArgsIsHelpError as error:
        common.tell(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        from glmdeploy.cli.usage import usage_message, usage_text

        if as_json:
            click.echo(json.dumps({"error": {"message": redaction.mask(usage_message(error))}}))
        common.tell(usage_text(error))
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
