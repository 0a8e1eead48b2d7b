"""What several commands share: how a profile is named on the command line, and how it becomes a plan."""

from __future__ import annotations

import functools
import json
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import redaction
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from glmdeploy.plan.plan import Plan
    from glmdeploy.profile.text.document import Document
    from glmdeploy.sizing.checkpoint import Checkpoint

    Asking = Callable[[Document], Checkpoint | None]


def profile_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--overlay`` and ``--set``, passed on as ``overlays`` and ``sets``."""

    @click.option(
        "--overlay",
        "overlays",
        multiple=True,
        metavar="FILE",
        help="Lay this file's values over the profile's; may be repeated, later ones win.",
    )
    @click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=VALUE",
        help="Set one value, such as sglang.args.tp=4; null removes it. Wins over overlays.",
    )
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--model-config`` and ``--ask-hub``, passed on as ``model_config`` and ``ask_hub``."""

    @click.option(
        "--model-config",
        type=click.Path(exists=True, path_type=Path),
        metavar="FILE",
        help="The checkpoint's config.json, or the folder with it, for a model that glmdeploy does not know.",
    )
    @click.option("--ask-hub", is_flag=True, help="Ask the Hugging Face Hub for it, where the model is not known.")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


def asking(model_config: Path | None, *, ask_hub: bool) -> Asking:
    """What tells a profile's checkpoint: the file, or the Hub where the model is not known; else nothing does.

    :raises UsageError: for both.
    :raises GlmdeployError: if the file cannot be read; from the call, if the Hub cannot tell.
    """
    from glmdeploy.sglang import models
    from glmdeploy.sizing import checkpoint

    if model_config is not None and ask_hub:
        raise UsageError("--model-config and --ask-hub exclude each other")
    given = checkpoint.from_folder(model_config) if model_config is not None else None

    def ask(document: Document) -> Checkpoint | None:
        model = document.data.get("model")
        repo, revision = (model.get("repo"), model.get("revision")) if isinstance(model, dict) else (None, None)
        if given or not ask_hub or not isinstance(repo, str) or models.known(repo):
            return given
        return checkpoint.from_hub(repo, revision if isinstance(revision, str) else "main")

    return ask


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--select`` and ``--ignore``, passed on as ``select`` and ``ignore``."""

    @click.option(
        "--select",
        multiple=True,
        metavar="IDS",
        help="Report only these: ids of rules or their beginnings (GLM02), with commas; may be repeated. "
        "What keeps a profile from being judged is reported all the same.",
    )
    @click.option("--ignore", multiple=True, metavar="IDS", help="Report all but these; the longer of two ids wins.")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


def quiet() -> None:
    """When a connection breaks, the SDK's abandoned tasks would print tracebacks beside our own message."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def program() -> str:
    """How the user can call glmdeploy again, for the lines that we tell them to type."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m glmdeploy"
    return "glmdeploy" if shutil.which("glmdeploy") else shlex.quote(os.path.relpath(called))


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="JSON alone on standard output, everything else on standard error.",
)


def one_format(name: str | None, *, as_json: bool, default: str) -> str:
    """The format that ``--format`` and ``--json`` ask for. :raises UsageError: if they ask for different ones."""
    if as_json and name not in (None, "json"):
        raise UsageError(f"--json and --format {name} contradict each other")
    return "json" if as_json else name or default


def width() -> int:
    """The columns of the terminal; of a file or a pipe there is no end."""
    from glmdeploy.report.grid import UNLIMITED

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED


def echo(text: str) -> None:
    """Print a result that may hold values of a profile: its secrets are masked."""
    click.echo(redaction.mask(text))


def echo_json(data: Any) -> None:
    """The same for JSON."""
    click.echo(json.dumps(redaction.mask_data(data), indent=2, ensure_ascii=False))


def write(output: Path, text: str) -> None:
    """Write a result to a file, and say so on standard error.

    :raises GlmdeployError:
    """
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GlmdeployError(f"cannot write {output}: {error.strerror}") from None
    click.echo(f"wrote {output}", err=True)


def document(profile: str, overlays: tuple[str, ...] = (), sets: tuple[str, ...] = ()) -> Document:
    """Read a profile with its inheritance.

    :raises ProfileError:
    """
    from glmdeploy.profile.text.load import load

    return load(profile, overlays=overlays, sets=sets)


def plan(profile: str, overlays: tuple[str, ...], sets: tuple[str, ...]) -> Plan:
    """The profile's plan, as :func:`planned`.

    :raises ProfileError:
    """
    return planned(document(profile, overlays, sets))


def planned(read: Document) -> Plan:
    """The plan of a profile that was read; warnings and what is waived go to standard error, a line each.

    :raises ProfileError:
    """
    from glmdeploy.findings import Severity
    from glmdeploy.plan.make import plan_of
    from glmdeploy.report.text import finding_line

    resolved, findings = plan_of(read)
    for finding in findings:
        if finding.severity is not Severity.INFO:
            click.echo(finding_line(finding), err=True)
    return resolved
