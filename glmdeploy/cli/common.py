"""What several commands share: how a profile is named on the command line, and how it becomes a plan."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy import redaction
from glmdeploy.cli import complete, complete_set
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from glmdeploy.findings import Finding
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
        shell_complete=complete.overlays,
        help="Lay this file's values over the profile's; may be repeated, later ones win.",
    )
    @click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=VALUE",
        shell_complete=complete_set.values,
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


def gpu(text: str) -> str:
    """A GPU that was typed, as Modal spells it; a type that Modal does not rent as it was typed."""
    from glmdeploy import gpus

    name, colon, count = text.partition(":")
    return f"{gpus.named(name) or name}{colon}{count}"


def asking(model_config: Path | None, *, ask_hub: bool) -> Asking:
    """What tells a profile's checkpoint: the file, or the Hub where the model is not known; else nothing does.

    :raises UsageError: for both.
    :raises GlmdeployError: if the file cannot be read; from the call, if the Hub cannot tell.
    """
    from glmdeploy.sglang import models
    from glmdeploy.sizing import checkpoint

    if model_config is not None and ask_hub:
        raise UsageError("`--model-config` and `--ask-hub` exclude each other")
    given = checkpoint.from_folder(model_config) if model_config is not None else None

    def ask(document: Document) -> Checkpoint | None:
        model = document.data.get("model")
        repo, revision = (model.get("repo"), model.get("revision")) if isinstance(model, dict) else (None, None)
        if given or not ask_hub or not isinstance(repo, str) or models.known(repo):
            return given
        return from_hub(repo, revision if isinstance(revision, str) else "main")

    return ask


def from_hub(repo: str, revision: str) -> Checkpoint:
    """What the Hub tells of a checkpoint; that it is asked is told where it takes more than a moment.

    :raises GlmdeployError:
    """
    from glmdeploy.cli.live import busy
    from glmdeploy.sizing import checkpoint

    with busy("hub", f"asking for {repo}", quiet=is_quiet()):
        return checkpoint.from_hub(repo, revision)


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--select`` and ``--ignore``, passed on as ``select`` and ``ignore``."""

    @click.option(
        "--select",
        multiple=True,
        metavar="IDS",
        shell_complete=complete.rules_with_commas,
        help="Report only these: ids of rules or their beginnings (GLM02), with commas; may be repeated. "
        "What keeps a profile from being judged is reported all the same.",
    )
    @click.option(
        "--ignore",
        multiple=True,
        metavar="IDS",
        shell_complete=complete.rules_with_commas,
        help="Report all but these; the longer of two ids wins.",
    )
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> Any:
        return function(**arguments)

    return wrapped


def quiet() -> None:
    """When a connection breaks, the SDK's abandoned tasks would print tracebacks beside our own message."""
    import logging

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
        raise UsageError(f"`--json` and `--format {name}` contradict each other")
    return "json" if as_json else name or default


class _Manner:
    """How much this call of the command line says, and whether in colors: None where the terminal decides."""

    def __init__(self) -> None:
        self.quiet = self.verbose = False
        self.color: bool | None = None


_manner = _Manner()


def begin(*, quiet: bool = False, verbose: bool = False, color: bool | None = None) -> None:
    """A call of the command line begins, with what stands before the command; its own options come after."""
    _manner.quiet, _manner.verbose, _manner.color = quiet, verbose, color


def color() -> bool | None:
    """Whether this call prints colors; None where the terminal decides."""
    return _manner.color


def is_quiet() -> bool:
    """Whether the result and errors are all that is wanted: ``-q``, before or behind the command."""
    return _manner.quiet


def verbose() -> bool:
    """Whether all detail is wanted: ``-v``, before or behind the command, or the command's ``--all``."""
    return _manner.verbose


def _set_quiet(_: click.Context, __: click.Parameter, value: bool) -> None:
    _manner.quiet |= value


def _set_verbose(_: click.Context, __: click.Parameter, value: bool) -> bool:
    _manner.verbose |= value
    return _manner.verbose


def with_quiet(command: click.Command) -> click.Command:
    """The command, which takes ``-q`` too; so do those of a group."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_quiet(each)
    elif not any("-q" in option.opts for option in command.params):
        option = click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_set_quiet, help="Only the result and errors."
        )
        command.params.append(option)
    return command


verbose_option = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_set_verbose, help="Show all detail."
)
"""``-v`` for a command that has no ``--all``: :func:`verbose` tells."""


def all_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--all`` with this help, passed on as ``everything``; ``-v`` means the same."""
    return click.option("-v", "--verbose", "--all", "everything", is_flag=True, callback=_set_verbose, help=text)


def width(*, err: bool = False) -> int:
    """The columns of standard output, or with ``err`` of standard error."""
    from glmdeploy.cli.live import all_columns

    return all_columns(sys.stderr if err else sys.stdout)


def note(text: str) -> None:
    """Say something beside the result, on standard error: progress, a hint, a count. ``-q`` leaves it out.

    Lines that are too long for the terminal go on below, indented. Secrets are masked.
    """
    if not is_quiet():
        tell(text)


def hint(text: str) -> None:
    """A note for whoever sits at a terminal: what else there is to be seen. Nothing where standard error is none."""
    if sys.stderr.isatty():
        note(text)


def tell(text: str) -> None:
    """The same of what no ``-q`` leaves out: an error."""
    from glmdeploy.report.wrap import wrapped

    click.echo(wrapped(redaction.mask(text), width(err=True)), err=True, color=color())


def echo(text: str, *, err: bool = False) -> None:
    """Print a result that may hold values of a profile: its secrets are masked."""
    click.echo(redaction.mask(text), err=err)


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
    note(f"wrote {output}")


def are_many(named: Sequence[str]) -> bool:
    """Whether the command line names more than one profile, or a folder of them."""
    return len(named) != 1 or (named[0] != "-" and Path(named[0]).is_dir())


def free(file: str, *, force: bool) -> None:
    """See that a profile can be written to ``file``: no folder, and without ``force`` nothing that exists.

    :raises GlmdeployError: where the file cannot be written, as far as that can be told beforehand.
    """
    if file == "-":
        return
    if Path(file).is_dir():
        raise GlmdeployError(f"cannot write {file}: it is a folder", advice="name a file in it with `-o FILE`")
    if Path(file).exists() and not force:
        raise GlmdeployError(
            f"{file} exists already, and was left as it is",
            advice="overwrite it with `--force`, or write another one with `-o FILE`",
        )


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
    """The plan of a profile that was read; how many warnings there are goes to standard error.

    :raises ProfileError:
    """
    from glmdeploy.plan.make import plan_of

    resolved, findings = plan_of(read)
    note_warnings(findings, read.files[0])
    return resolved


def note_warnings(findings: Iterable[Finding], file: str | None) -> None:
    """Say in one line how many warnings stand, and which command shows them: nothing where there are none.

    ``file`` is the profile's; None where it is not written anywhere.
    """
    from glmdeploy.findings import Severity
    from glmdeploy.report.words import counted

    count = sum(each.severity is Severity.WARNING and each.waived is None for each in findings)
    if count:
        command = f"glmdeploy validate {shlex.quote(_name(file))}" if file else "glmdeploy validate"
        note(f"{counted(count, 'warning')}: `{command}` shows {'it' if count == 1 else 'them'}")


def _name(file: str) -> str:
    """What a user calls a profile that was read from this file: a profile that ships by its name alone."""
    from glmdeploy.profile.text.load import LOCAL
    from glmdeploy.resources import profiles_dir

    path = Path(file)
    if file == "<stdin>":
        return "-"
    return path.stem if path.suffix == ".yaml" and path.parent in (LOCAL, profiles_dir()) else file
