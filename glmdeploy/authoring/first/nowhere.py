"""What to say of a model for which nothing was found: what is missing, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmdeploy.authoring.first.candidates import DEAR, FP4, OTHER, SHORT, SMALL, over
from glmdeploy.errors import GlmdeployError
from glmdeploy.gpus import BLACKWELL, RDMA, TYPES
from glmdeploy.sglang import models
from glmdeploy.sizing.enough import enough, weights_fit
from glmdeploy.sizing.memory import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from glmdeploy.authoring.first.candidates import Found, Refused
    from glmdeploy.sizing.enough import Enough

_MOST_VARIANTS = 3


def nowhere(found: Found) -> GlmdeployError:
    """The failure, with what is missing on what came nearest, and what may be done about it."""
    advice = list(_advice(found))
    return GlmdeployError(_message(found), advice="; ".join(advice) or None)


def smaller(repo: str) -> tuple[str, ...]:
    """Other repositories of the same model, whose weights take less, as far as their names are known here."""
    mine = models.quantization(repo)
    if mine not in (models.NONE, "fp8"):
        return ()
    others = [each for each in models.variants(repo) if models.quantization(each) not in (models.NONE, mine)]
    return tuple(others[:_MOST_VARIANTS])


def _message(found: Found) -> str:
    repo, refused = found.subject.repo, found.refused
    rented = found.wanted.gpu or "any GPU that Modal rents"
    where = f"on {rented}" + (f":{found.wanted.count}" if found.wanted.count else "")
    if all(each.kind == DEAR for each in refused):
        least = min(refused, key=lambda each: each.dollars)
        return f"${found.wanted.budget:,.2f} an hour is too little: {least.rented} costs ${least.dollars:,.2f}"
    within = f" for ${found.wanted.budget:,.2f} an hour" if found.wanted.budget is not None else ""
    if (short := _nearest(refused, SHORT)) is not None:
        return (
            f"{repo} fits {where}{within}, but not with one request of {found.wanted.context:,} tokens: {short.rented} "
            f"holds {short.holds or 0:,}"
        )
    # What has the memory, and is refused all the same, is nearer than what lacks it.
    large = [each for each in refused if each.kind == OTHER and over(found.subject, each.gpu, each.count) < 0]
    if not large and (small := _nearest(refused, SMALL)) is not None:
        missing = (
            f": each GPU of {small.rented} is {small.missing / GIB:,.1f} GiB short"
            if small.missing
            else (f": {small.rented}: {small.why}")
        )
        return f"{repo} does not fit {where}{within}{missing}"
    # What is said of a type of GPU is no reason where all types are refused.
    others = large or [each for each in refused if each.kind == OTHER]
    other = min(others, key=lambda each: (f" on {each.gpu}" in each.why, each.dollars if large else -each.dollars))
    return f"{repo} cannot be served {where}{within}: {other.rented}: {other.why}"


def _nearest(refused: tuple[Refused, ...], kind: str) -> Refused | None:
    """The one of a kind that came nearest to being enough."""
    of_kind = [each for each in refused if each.kind == kind]
    return min(
        of_kind,
        key=lambda each: (each.missing is None, each.missing or 0, -(each.holds or 0), each.dollars),
        default=None,
    )


def _advice(found: Found) -> Iterator[str]:
    wanted = found.wanted
    if (short := _nearest(found.refused, SHORT)) is not None and short.holds:
        yield f"ask for a shorter context, such as --context {_round(short.holds):,}".replace(",", "")
    if wanted.budget is not None:
        yield "raise --budget"
    if wanted.gpu is not None:
        yield "leave --gpu out to see what fits"
    if several := _several(found):
        yield several
    fp4 = wanted.gpu is None or TYPES[wanted.gpu].capability[0] >= BLACKWELL
    others = [each for each in smaller(found.subject.repo) if fp4 or models.quantization(each) != FP4]
    if others:
        yield f"the same model takes less memory as {', '.join(others)}"
    if any(each.kind == OTHER for each in found.refused) and not others:
        yield "if you have a launch command that works, `glmdeploy import` makes a profile of it"


def _several(found: Found) -> str | None:
    """The cheapest whole hosts that would hold the weights together; None where one is enough, or none are."""
    wanted, model = found.wanted, found.subject.model
    part = wanted.gpu is not None and wanted.count not in (None, TYPES[wanted.gpu].most)
    if part or wanted.budget is not None or _nearest(found.refused, SMALL) is None:
        return None
    if any(each.kind != SMALL for each in found.refused if over(found.subject, each.gpu, each.count) < 0):
        return None
    fp4 = models.quantization(found.subject.repo) == FP4
    types = [each for each in RDMA if each.isalnum() and (not fp4 or TYPES[each].capability[0] >= BLACKWELL)]
    value: Callable[[str], object] = {"tp_size": 1}.get
    enoughs = (
        enough(gpu, model, value, weights_fit(gpu, model, value))
        for gpu in types
        if gpu == wanted.gpu or wanted.gpu is None
    )
    several = [(each.gpus * TYPES[each.type].price.dollars, each) for each in enoughs if each and each.nodes > 1]
    if not several:
        return None
    dollars, least = min(several, key=lambda pair: pair[0])
    hosts = f"{least.nodes} × {least.type}:{least.gpus // least.nodes}"
    return (
        f"{hosts} would hold its weights, for ${dollars:,.2f} an hour: `init` writes no clusters, and "
        f"`{_imported(found, least)}` prints a profile of one"
    )


def _imported(found: Found, hosts: Enough) -> str:
    """The command that writes a profile for the hosts: `import`, of the launch that it would be elsewhere."""
    launch = f"sglang serve --model-path {found.subject.repo} --tp {hosts.gpus} --nnodes {hosts.nodes}"
    return f"echo '{launch}' | glmdeploy import - --gpu {hosts.type}:{hosts.gpus // hosts.nodes}"


def _round(count: int) -> int:
    """The number of tokens below which asking makes sense: a power of two, or half of one more."""
    power = 1 << (count.bit_length() - 1)
    return power + power // 2 if power + power // 2 <= count else power
