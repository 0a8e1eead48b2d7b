"""``glmdeploy size``."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glmdeploy.cli import common, complete
from glmdeploy.cli.commands import Documented
from glmdeploy.cli.live import busy
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glmdeploy.gpus import Price
    from glmdeploy.rules.check import Checked

FAULTS = ("schema", "sglang", "GLM020")
"""Findings with which there is no size: of options that cannot be read, or use other GPUs than the profile rents."""


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("a number is wanted", context, parameter)
    return value


EPILOG = """\b
Examples:
  glmdeploy size b200-eagle-bf16kv
  glmdeploy size mine.yaml --gpu H200:8                    # what if
  glmdeploy size mine.yaml --busy-hours 8 --cold-starts 2  # dollars of a day

Exit codes: 0 it fits, 1 the model does not fit.
"""


@click.command(cls=Documented, epilog=EPILOG)
@click.argument("profile", shell_complete=complete.profiles)
@common.profile_options
@click.option(
    "--gpu",
    metavar="GPU",
    shell_complete=complete.gpus,
    help="Size for this GPU instead of the profile's, such as H200:8.",
)
@click.option(
    "--model-config",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="The checkpoint's config.json, or the folder with it, instead of the one that ships or that the Hugging "
    "Face Hub has.",
)
@click.option(
    "--busy-hours",
    type=click.FloatRange(0, 24),
    callback=_finite,
    metavar="HOURS",
    help="The traffic, for the cost of a day: the hours in which requests come.",
)
@click.option(
    "--cold-starts",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="With --busy-hours: how often a day requests come after a pause of more than `scaledown_window`.",
)
@click.option(
    "--price",
    type=click.FloatRange(0, 10_000),
    callback=_finite,
    metavar="DOLLARS",
    help="Of one GPU and hour, instead of the list price.",
)
@click.option("--modal-prices", is_flag=True, help="Ask Modal for the prices of your workspace.")
@common.all_option("Show each step, and where the figures are from.")
@common.json_option
def size(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    gpu: str | None,
    model_config: Path | None,
    busy_hours: float | None,
    cold_starts: int,
    price: float | None,
    modal_prices: bool,
    everything: bool,
    as_json: bool,
) -> int:
    """Show how much memory, money and time a profile takes.

    Bytes of each GPU, tokens of KV cache, dollars, seconds. For models whose dimensions ship with glmdeploy nothing is
    fetched; for others the Hugging Face Hub, or its cache on this machine, is asked for config.json. Of a list of GPUs
    each is shown.
    """
    from glmdeploy.report.size import size_text
    from glmdeploy.report.size_data import size_data
    from glmdeploy.rules.check import check
    from glmdeploy.sizing import size
    from glmdeploy.sizing.cost import Traffic

    if price is not None and modal_prices:
        raise click.UsageError("`--price` and `--modal-prices` exclude each other")
    checked = check(common.document(profile, overlays, (*sets, f"gpu={common.gpu(gpu)}") if gpu else sets))
    facts = checked.facts
    faults = [finding for finding in checked.findings if finding.id in FAULTS and not finding.waived]
    if facts is None or faults:
        raise ProfileError(faults or checked.findings)
    dimensions = size.dimensions(facts, model_config)
    prices = _prices({each.type for each in facts.gpus}, price, ask_modal=modal_prices)
    traffic = None if busy_hours is None else Traffic(busy_hours=busy_hours, cold_starts=cold_starts)
    with busy("size", "asks the hub where the model is not known", quiet=common.is_quiet()):
        found = [size.size(each, dimensions, prices=prices, traffic=traffic) for each in facts.each_gpu()]
    _warn(checked)
    if as_json:
        data = [size_data(each) for each in found]
        common.echo_json(data if len(data) > 1 else data[0])
    else:
        texts = (size_text(each, common.width(), everything=everything) for each in found)
        common.echo("\n\n".join(texts))
        if not everything:
            common.hint("`--all` shows each step, and where the figures are from")
    return int(not all(each.fits for each in found))


def _prices(types: Iterable[str], price: float | None, *, ask_modal: bool) -> Mapping[str, Price]:
    from glmdeploy import gpus

    if price is not None:
        today = datetime.now(UTC).date().isoformat()
        return dict.fromkeys(types, gpus.Price(dollars=price, date=today, source="--price"))
    if ask_modal:
        from glmdeploy.operate.prices import workspace_prices

        return workspace_prices()
    return gpus.PRICES


def _warn(checked: Checked) -> None:
    """Numbers of a profile that would not be deployed are worth little, unless it is tried on another GPU."""
    from glmdeploy.report.view import view

    errors = [found for found in checked.findings if found.severity is Severity.ERROR and not found.waived]
    for error in errors:
        common.note(f"`glmdeploy validate` refuses this profile, {error.id}: {view(error).message}")
