"""``glmdeploy init``."""

from __future__ import annotations

import math
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import GlmdeployError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.authoring.first.candidates import Candidate, Wanted
    from glmdeploy.authoring.first.subject import Subject
    from glmdeploy.authoring.first.written import Written

REQUESTS = 8
"""Requests at a time, where nobody says how many."""

_OWN_CONTEXT, _CONTEXT, _TEXTS = 65_536, 32_768, 8_192
"""Tokens: a model's own context up to here is taken as it is, a longer one cut to the second; of texts to embed or to
score to the third."""

_MOST_REQUESTS = 1000
"""As many as a container of Modal's takes (``server.max_inputs``)."""

_TOKENS = re.compile(r"([0-9]{1,12})\s*([kKmM]?)[iI]?")
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}

EPILOG = """\b
Examples:
  glmdeploy init Qwen/Qwen3-8B                    # show what fits, and ask
  glmdeploy init Qwen/Qwen3-32B --budget 5 --yes  # take the best for that money
"""


def _tokens(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """``32768``, ``32k`` or ``32Ki``: thousands of 1,024, as contexts are told."""
    if value is None:
        return None
    match = _TOKENS.fullmatch(value.strip().replace(",", "").replace("_", ""))
    count = int(match[1]) * _UNITS[match[2].lower()] if match else 0
    if not 1 <= count <= 1 << 40:
        raise click.BadParameter(f"`{value}` is no number of tokens such as 32k or 40960", context, parameter)
    return count


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("a number is wanted", context, parameter)
    return value


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("model", required=False, metavar="[MODEL]")
@click.option("--context", callback=_tokens, metavar="TOKENS", help="The longest request, such as 32k.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, _MOST_REQUESTS),
    metavar="N",
    help=f"Requests of that length at a time in one container; default: {REQUESTS}.",
)
@click.option("--gpu", metavar="TYPE[:N]", shell_complete=complete.gpus, help="Only this GPU, such as H100 or H100:4.")
@click.option(
    "--budget",
    type=click.FloatRange(0, 100_000),
    callback=_finite,
    metavar="DOLLARS",
    help="An hour of one container at most.",
)
@click.option("--choose", type=click.IntRange(min=1), metavar="N", help="Take the Nth of the table without asking.")
@click.option("-y", "--yes", is_flag=True, help="Take the first of the table without asking.")
@click.option("--all", "everything", is_flag=True, help="Show everything that fits, and why the rest does not.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=complete.files,
    help="Where to write the profile; - for standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
@click.option("--name", metavar="NAME", help="Name of the profile; default: after the model.")
@click.option("--app", metavar="NAME", help="Name of the Modal app; default: as the profile.")
@click.option(
    "--release",
    metavar="VERSION",
    shell_complete=complete.releases,
    help="SGLang release; default: the newest that is known here.",
)
@click.option(
    "--model-config",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|FOLDER",
    help="The checkpoint's config.json, or the folder that holds it, instead of what is known or the Hub tells.",
)
@click.option(
    "--ask-hub/--no-ask-hub",
    default=True,
    help="Whether to ask the Hugging Face Hub about a model that is not known here; default: yes.",
)
@common.json_option
def init(model: str | None, context: int | None, concurrency: int | None, as_json: bool, **options: Any) -> int:
    """Find GPUs that a model fits on, and write a profile for it.

    MODEL is a repository of the Hugging Face Hub. What is shown are deployments of which the profile is valid without
    a warning: how many requests of the whole context they hold, dollars an hour, cold start. The best is the cheapest
    that is enough. Who has a launch command of SGLang already uses `glmdeploy import` instead.
    """
    from glmdeploy.authoring.first.candidates import search
    from glmdeploy.authoring.first.nowhere import nowhere
    from glmdeploy.authoring.first.subject import subject
    from glmdeploy.gpus import PRICES
    from glmdeploy.report.init import found_data, found_text, offered
    from glmdeploy.report.run import error_data

    if options["choose"] and options["yes"]:
        raise UsageError("`--choose` and `--yes` contradict each other")
    gpu = _gpu(options["gpu"])
    if model is None:
        model, context, concurrency, options["budget"] = _asked(context, concurrency, options["budget"])
    about = subject(
        model,
        config=options["model_config"],
        ask_hub=options["ask_hub"],
        tell=lambda text: click.echo(text, err=True),
    )
    wanted = _wanted(about, context, concurrency, gpu, options)
    file = options["output"] or f"{wanted.name}.yaml"
    decided = options["choose"] or options["yes"]
    if decided or person():
        common.free(file, force=options["force"])
    found = search(about, wanted, prices=PRICES)
    if not found.candidates:
        if as_json:
            common.echo_json(found_data(found, ()) | error_data(nowhere(found)))
            return 1
        raise nowhere(found)
    rows = offered(found, everything=options["everything"])
    if not as_json and not (common.is_quiet() and decided):
        width = shutil.get_terminal_size().columns
        click.echo(found_text(found, width, everything=options["everything"]), err=file == "-")
    chosen = _chosen(rows, as_json=as_json, **options)
    if chosen is None:
        common.echo_json(found_data(found, rows))
        return 0
    profile = _write(chosen, file, force=options["force"])
    if as_json:
        common.echo_json(found_data(found, rows, chosen=chosen, file=file, profile=profile))
    elif file == "-":
        click.echo(profile.text, nl=False)
    else:
        _told(file, profile)
    return 0


def _gpu(text: str | None) -> tuple[str | None, int | None]:
    """Type and count that ``--gpu`` means, each None where it is left open."""
    from glmdeploy import gpus
    from glmdeploy.sglang.spelling import nearest

    if text is None:
        return None, None
    name, colon, number = text.partition(":")
    found = gpus.named(name)
    if found is None:
        near = nearest(name, gpus.TYPES)
        raise UsageError(
            f"`--gpu`: Modal rents no `{name}`" + (f": did you mean `{near[0]}`?" if near else ""),
            advice=f"one of: {', '.join(gpus.TYPES)}",
        )
    most = gpus.TYPES[found].most
    counts = [count for count in (1, 2, 4, 8) if count <= most]
    if colon and (not number.isdecimal() or int(number) not in counts):
        raise UsageError(
            f"`--gpu`: {number or 'nothing'} is no number of GPUs to try",
            advice=f"one of: {', '.join(map(str, counts))}",
        )
    return found, int(number) if colon else None


def _asked(
    context: int | None, concurrency: int | None, budget: float | None
) -> tuple[str, int | None, int | None, float | None]:
    """What a person is asked who named no model.

    :raises UsageError: where there is nobody to ask.
    """
    if not person():
        raise UsageError("no model is named", advice="name its repository: glmdeploy init Qwen/Qwen3-8B")
    model = click.prompt("Model (a repository of the Hugging Face Hub, such as Qwen/Qwen3-8B)", type=str)
    if context is None:
        text = click.prompt(
            "Longest request in tokens, such as 32k (empty: by the model)", default="", show_default=False
        )
        context = _tokens(click.get_current_context(), click.Option(["--context"]), text or None)
    if concurrency is None:
        concurrency = click.prompt("Requests at a time", type=click.IntRange(1, _MOST_REQUESTS), default=REQUESTS)
    if budget is None:
        text = click.prompt("Dollars an hour at most (empty: no limit)", default="", show_default=False)
        budget = click.FloatRange(0)(text) if text else None
    return model, context, concurrency, budget


def _wanted(
    about: Subject,
    context: int | None,
    concurrency: int | None,
    gpu: tuple[str | None, int | None],
    options: dict[str, Any],
) -> Wanted:
    from glmdeploy.authoring.first.candidates import Wanted
    from glmdeploy.profile.fields import TAG
    from glmdeploy.profile.text.characters import shown
    from glmdeploy.sglang import architectures, catalog

    own = about.context
    if context is not None and context > own:
        raise UsageError(
            f"`--context`: {about.repo} has {own:,} tokens of context, fewer than {context:,}",
            advice=f"ask for {own} at most",
        )
    if about.task is not architectures.Task.GENERATE:
        usual = min(own, _TEXTS)
    else:
        usual = own if own <= _OWN_CONTEXT else _CONTEXT
    release = options["release"] or catalog.versions()[-1]
    try:
        catalog.load(release)
    except catalog.UnknownVersion as error:
        raise UsageError(
            f"`--release`: {error}; the nearest is {error.nearest}", advice=f"known: {', '.join(error.known)}"
        ) from None
    slug = re.sub(r"[^a-z0-9._-]+", "-", about.name.lower())[:55]
    name = options["name"] or slug
    for option in ("name", "app"):
        if options[option] and not re.fullmatch(TAG.pattern, options[option]):
            raise UsageError(f"--{option}: {shown(options[option])} is no name", advice=f"expected: {TAG.expected}")
    return Wanted(
        context=context or usual,
        running=concurrency or REQUESTS,
        release=release,
        name=name,
        app=options["app"] or name,
        budget=options["budget"],
        gpu=gpu[0],
        count=gpu[1],
    )


def _chosen(rows: Sequence[Candidate], *, as_json: bool, choose: int | None, yes: bool, **_: Any) -> Candidate | None:
    """The candidate that is to be written; None where JSON alone was asked for.

    :raises UsageError: where there is nobody to ask.
    """
    if yes:
        return rows[0]
    if choose is not None:
        if choose > len(rows):
            raise UsageError(f"`--choose`: there is no {choose}, the table ends with {len(rows)}")
        return rows[choose - 1]
    if as_json:
        return None
    if not person():
        raise UsageError(
            "nothing is written: nobody chose", advice="take the first with `--yes`, or another with `--choose N`"
        )
    number = click.prompt("\nWhich?", value_proc=lambda text: _number(text, len(rows)), default=1)
    return rows[number - 1]


def _number(text: object, most: int) -> int:
    """:raises click.UsageError: for what numbers no line of the table; then it is asked again."""
    found = str(text).strip()
    if not found.isdecimal() or not 1 <= int(found) <= most:
        raise click.UsageError(f"`{found}` is no line of the table: answer with a number from 1 to {most}")
    return int(found)


def person() -> bool:
    """Whether somebody sits before it who can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _write(chosen: Candidate, file: str, *, force: bool) -> Written:
    """The profile, in its file now where one was named, with the schema that its first line names."""
    from glmdeploy.authoring.first.written import written
    from glmdeploy.authoring.schema_line import keep_schema

    path = None if file == "-" else Path(file)
    profile = written(chosen, path)
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Never over a file that came in the meantime.
            with path.open("w" if force else "x", encoding="utf-8") as stream:
                stream.write(profile.text)
        except OSError as error:
            raise GlmdeployError(f"cannot write {file}: {error.strerror}") from None
        if kept := keep_schema(path, chosen.draft.release):
            common.note(f"wrote {kept}, by which editors judge it")
    return profile


def _told(file: str, profile: Written) -> None:
    """What was written, and what comes next."""
    from glmdeploy.report.init import wrapped, written_text

    if common.is_quiet():
        click.echo(written_text(file, profile))
        return
    click.echo(f"\n{written_text(file, profile)}")
    command = f"{common.program()} apply {shlex.quote(file)}"
    width = shutil.get_terminal_size().columns
    click.echo(f"next: {command} --target local --yes --make-secrets")
    click.echo(wrapped("  tries it on the embedded cloud: on this machine, without a GPU or a bill", width))
    click.echo(f"then: {command}")
    click.echo(wrapped("a launch command that you have already becomes a profile with `glmdeploy import`", width))
