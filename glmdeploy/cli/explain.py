"""``glmdeploy explain``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glmdeploy.cli import common
from glmdeploy.errors import GlmdeployError, ProfileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glmdeploy.rules.facts import Facts
    from glmdeploy.sglang.effective import Effective
    from glmdeploy.sglang.explain import Row
    from glmdeploy.sglang.real.oracle import Resolved


@click.command()
@click.argument("profile")
@common.profile_options
@click.option("--gpu", metavar="GPU", help="Explain for this GPU instead of the profile's, such as H200:8.")
@click.option("--sglang", "ask", is_flag=True, help="Ask the real SGLang too, with the GPU simulated, and compare.")
@click.option("--build", is_flag=True, help="With --sglang: make an environment for it if there is none.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="With --sglang: the folder of its environments."
)
@click.option(
    "--model-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --sglang: the checkpoint's config.json, for models that glmdeploy does not know.",
)
@click.option("--all", "everything", is_flag=True, help="Every option of the release.")
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
    everything: bool,
    as_json: bool,
) -> int:
    """Show what SGLang will really run with, and why.

    Each value comes from the profile, is SGLang's default, or is decided by SGLang from GPU, model and release.
    With --sglang the exit code is 1 where the real one disagrees.
    """
    from glmdeploy.resolve import resolve
    from glmdeploy.sglang import explain as explanation

    document = common.document(profile, overlays, (*sets, f"gpu={gpu}") if gpu else sets)
    resolution = resolve(document)
    subject = resolution.subject
    faults = [finding for finding in resolution.findings if finding.id in ("schema", "sglang")]
    if subject is None or faults:
        raise ProfileError(faults or resolution.findings)
    rows = explanation.rows(subject.effective, everything=everything)
    resolved = None
    if ask:
        from glmdeploy.sglang.real.oracle import Oracle

        version = subject.profile.sglang.version
        with Oracle(version, where=explanation.place_of(version, cache, build=build)) as real:
            resolved = explanation.ask(
                real,
                subject.command,
                repo=subject.profile.model.repo,
                gpu=subject.gpu,
                env=subject.env,
                config=_config(model_config),
            )
        if resolved.error or resolved.code:
            raise GlmdeployError(
                f"SGLang {subject.profile.sglang.version} refuses the command: {resolved.error or 'wrong usage'}",
                advice=resolved.stderr.strip().splitlines()[-1],
            )
        rows = explanation.compared(rows, resolved)
    if as_json:
        common.echo_json(_data(subject, rows, resolved))
    else:
        common.echo(table_text(subject, rows))
    return int(any(row.agrees is False for row in rows))


def _config(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GlmdeployError(f"cannot read {path}: {error}") from None
    return config


def _data(subject: Facts, rows: Sequence[Row], resolved: Resolved | None) -> dict[str, Any]:
    profile = subject.profile
    data: dict[str, Any] = {
        "profile": profile.name,
        "sglang": profile.sglang.version,
        "gpu": str(subject.gpu),
        "architecture": subject.architecture,
        "values": [_value_data(row) for row in rows],
    }
    return data if resolved is None else data | {"log": list(resolved.log)}


def _value_data(row: Row) -> dict[str, Any]:
    found = row.effective
    data = {
        "name": row.name,
        "value": found.value,
        "known": found.known,
        "source": str(found.origin),
        "why": found.why,
        "file": found.file,
    }
    return data | ({"sglang": row.real[0], "agrees": row.agrees} if row.real else {})


def table_text(subject: Facts, rows: Sequence[Row]) -> str:
    """The table for people; where the real SGLang was asked, with what it says otherwise."""
    profile = subject.profile
    unknown = Counter(row.effective.why for row in rows if not row.effective.known)
    # A reason that holds for the whole profile is told once, below.
    shared = [why for why, count in unknown.items() if why and count > 1]
    cells = [(*_cells(row), "" if row.effective.why in shared else _why(row.effective)) for row in rows]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    lines = [
        f"{profile.name}: SGLang {profile.sglang.version} on {subject.gpu}, {subject.architecture or 'unknown model'}",
        "",
    ]
    for row, (*columns, why) in zip(rows, cells, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(columns, widths, strict=True)]
        # Padding comes before styling: escape codes have no width.
        style = {"bold": True} if row.effective.known else {"fg": "yellow"}
        lines.append("  ".join((padded[0], click.style(padded[1], **style), padded[2], why)).rstrip())
        if row.real and not row.agrees:
            lines.append(
                click.style(f"  SGLang itself says {_shown(row.real[0])}", fg="red" if row.agrees is False else None)
            )
    lines += ["", *shared] if shared else []
    if compared := [row.agrees for row in rows if row.agrees is not None]:
        lines += ["", f"The real SGLang agrees on {compared.count(True)} of {len(compared)} values."]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str]:
    found = row.effective
    return row.name.replace("_", "-"), _shown(found.value) if found.known else "not known", str(found.origin)


def _why(found: Effective) -> str:
    return f"{found.why or ''} ({found.file})" if found.file else found.why or ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
