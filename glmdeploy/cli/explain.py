"""``glmdeploy explain``."""

from __future__ import annotations

from pathlib import Path

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.errors import GlmdeployError, ProfileError

EPILOG = """\b
Examples:
  glmdeploy explain b200-eagle-bf16kv             # the values that matter
  glmdeploy explain mine.yaml --gpu H200:8 --all  # every option, on another GPU
  glmdeploy explain mine.yaml --sglang --build    # ask the real SGLang too

Exit codes: 0 shown; with --sglang, 1 where the real one disagrees.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@common.profile_options
@click.option(
    "--gpu",
    metavar="GPU",
    shell_complete=complete.gpus,
    help="Explain for this GPU instead of the profile's, such as H200:8.",
)
@click.option("--sglang", "ask", is_flag=True, help="Ask the real SGLang too, with the GPU simulated, and compare.")
@click.option("--build", is_flag=True, help="With --sglang: make an environment for it if there is none.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="With --sglang: the folder of its environments."
)
@common.model_options
@common.all_option("Every option of the release, and the file of SGLang's that decides it.")
@common.json_option
def explain(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    gpu: str | None,
    ask: bool,
    build: bool,
    cache: Path | None,
    model_config: Path | None,
    ask_hub: bool,
    everything: bool,
    as_json: bool,
) -> int:
    """Show what SGLang will really run with, and why.

    Each value comes from the profile, is SGLang's default, or is decided by SGLang from GPU, model and release.
    """
    from glmdeploy.report import values
    from glmdeploy.rules.check import check
    from glmdeploy.sglang import explain

    document = common.document(profile, overlays, (*sets, f"gpu={gpu}") if gpu else sets)
    checkpoint = common.asking(model_config, ask_hub=ask_hub)(document)
    checked = check(document, checkpoint=checkpoint)
    facts = checked.facts
    faults = [finding for finding in checked.findings if finding.id in ("schema", "sglang")]
    if facts is None or faults:
        raise ProfileError(faults or checked.findings)
    rows = explain.rows(facts.effective, everything=everything)
    resolved = None
    if ask:
        from glmdeploy.sglang.real.oracle import Oracle

        version = facts.profile.sglang.version
        with Oracle(version, where=explain.place_of(version, cache, build=build)) as real:
            resolved = explain.ask(
                real,
                facts.command,
                repo=facts.profile.model.repo,
                gpu=facts.gpu,
                env=facts.env,
                config=checkpoint.config if checkpoint else None,
                nodes=facts.nodes,
            )
        if resolved.error or resolved.code:
            raise GlmdeployError(
                f"SGLang {facts.profile.sglang.version} refuses the command: {resolved.error or 'wrong usage'}",
                advice=resolved.stderr.strip().splitlines()[-1],
            )
        rows = explain.compared(rows, resolved)
    if as_json:
        common.echo_json(values.explain_data(facts, rows, resolved))
    else:
        common.echo(values.explain_text(facts, rows, common.width(), everything=everything))
    return int(any(row.agrees is False for row in rows))
