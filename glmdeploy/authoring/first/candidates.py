"""The search for what fits: each GPU, count and KV cache dtype is sized and judged as a profile would be.

What is sized is a whole profile, and what judges it are the real rules: nothing is offered whose profile has an error
or a warning. That takes some milliseconds each, so that there is no second, quicker arithmetic to keep true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.first.draft import Draft, compiles_kernels, mended
from glmdeploy.authoring.launch.imported import profile_text
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Severity
from glmdeploy.gpus import AMPERE, BLACKWELL, TYPES, WITHOUT_NVLINK
from glmdeploy.profile.text.load import read_text
from glmdeploy.rules.check import check
from glmdeploy.sizing import size
from glmdeploy.sizing.memory import GIB, MIB, loaded
from glmdeploy.sizing.pool import BF16, FP8

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glmdeploy.authoring.first.subject import Subject
    from glmdeploy.gpus import Price
    from glmdeploy.rules.check import Checked
    from glmdeploy.sizing.size import Size

COUNTS = (1, 2, 4, 8)

FP8_SINCE = (8, 9)
"""The first compute capability whose tensor cores know FP8; before, SGLang's kernels need not (#12887: "fp8e4nv not
supported" on an A100)."""

_OTHER_NAMES = ("A100", "H100!")
"""Names of Modal's for types that stand in the table under another one."""

_ROUNDS = 8
"""Far above the things that a draft can lack."""

FP4 = "modelopt_fp4"
"""The format of weights that only Blackwell's tensor cores multiply."""

_SHORT_POOL, _NO_ROOM = "GLM081", "GLM080"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for: tokens of the longest request, how many at a time, and what is allowed.

    ``budget`` is in dollars an hour for one container. ``gpu`` and ``count`` are None where any will do.
    """

    context: int
    running: int
    release: str
    name: str
    app: str
    budget: float | None = None
    gpu: str | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A draft whose profile is without an error or a warning. ``wanted`` is how many requests were asked for."""

    draft: Draft
    size: Size
    wanted: int

    @property
    def requests(self) -> int:
        """Requests of the whole context that the KV pool holds at a time."""
        return self.size.whole_requests

    @property
    def lacking(self) -> int:
        """By how many requests that is less than what was asked for; 0 where it is enough."""
        return max(0, self.wanted - self.requests)

    @property
    def dollars(self) -> float:
        """An hour of one container's GPUs."""
        return self.size.spending.container

    @property
    def kv(self) -> str:
        return self.size.memory.kv_dtype

    @property
    def halved(self) -> bool:
        """Whether the KV cache is made FP8 by the profile, and not by the checkpoint."""
        return self.draft.kv == FP8

    @property
    def apart(self) -> bool:
        """Whether its GPUs have to reach each other over PCIe."""
        return self.draft.count > 1 and self.draft.gpu in WITHOUT_NVLINK

    @property
    def rank(self) -> tuple[object, ...]:
        """What is better comes first: enough before short, what costs neither accuracy nor waiting, then the cheapest.

        It depends on the candidate alone, so that more money only ever adds candidates before the first.
        """
        compromises = (self.halved, self.apart) if not self.lacking else (False, False)
        least = self.lacking, sum(compromises), compromises
        return (bool(self.lacking), *least, self.dollars, self.draft.count, self.draft.gpu)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """What is not offered, and ``why``. ``kind`` says which sort of reason it is, for a list of many.

    ``missing`` are bytes of each GPU by which weights alone are too large, None where they are not the reason;
    ``holds`` are the tokens of a KV pool that is smaller than one request.
    """

    gpu: str
    count: int
    dollars: float
    kind: str
    why: str
    missing: int | None = None
    holds: int | None = None

    @property
    def rented(self) -> str:
        return self.gpu if self.count == 1 else f"{self.gpu}:{self.count}"


SMALL, SHORT, OTHER, DEAR = "too small", "no room for one request", "refused", "above the budget"
"""Kinds of refusals."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """``candidates`` in their order of rank, ``refused`` in the order of their price."""

    subject: Subject
    wanted: Wanted
    candidates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]


def search(subject: Subject, wanted: Wanted, *, prices: Mapping[str, Price]) -> Found:
    """What fits, and what does not, of all that Modal rents, or of what was asked for. ``prices`` are by GPU."""
    fitting: list[Candidate] = []
    refused: list[Refused] = []
    for gpu in _types(wanted):
        for found in _of_type(subject, wanted, gpu, prices):
            (fitting if isinstance(found, Candidate) else refused).append(found)  # type: ignore[arg-type]
    return Found(
        subject=subject,
        wanted=wanted,
        candidates=tuple(sorted(fitting, key=lambda each: each.rank)),
        refused=tuple(sorted(refused, key=lambda each: (each.dollars, each.count))),
    )


def _types(wanted: Wanted) -> Sequence[str]:
    if wanted.gpu is not None:
        return (wanted.gpu,)
    return [
        name
        for name, each in TYPES.items()
        if each.memory_mib and each.capability[0] >= AMPERE and name not in _OTHER_NAMES
    ]


def _of_type(subject: Subject, wanted: Wanted, gpu: str, prices: Mapping[str, Price]) -> Iterator[Candidate | Refused]:
    """From one GPU on to eight, until it is enough; with an FP8 KV cache only where that would come sooner."""
    sooner = False
    counts = [count for count in COUNTS if count <= TYPES[gpu].most and wanted.count in (None, count)]
    for count in counts:
        # Where more GPUs come next, those that weights alone overfill need not be judged.
        if count != counts[-1] and (too_much := over(subject, gpu, count)) > 0:
            draft = _draft(subject, wanted, gpu, count, BF16)
            dollars = prices.get(gpu, TYPES[gpu].price).dollars * count
            yield replace(_refused(draft, dollars, SMALL, _short_by(too_much)), missing=too_much)
            continue
        plain = _judged(_draft(subject, wanted, gpu, count, BF16), wanted, prices)
        yield plain
        if isinstance(plain, Candidate) and not plain.lacking:
            return
        tries = isinstance(plain, Candidate) or plain.kind == SHORT
        if tries and not sooner and TYPES[gpu].capability >= FP8_SINCE and not subject.encodes:
            half = _judged(_draft(subject, wanted, gpu, count, FP8), wanted, prices)
            if isinstance(half, Candidate) and (not isinstance(plain, Candidate) or half.requests > plain.requests):
                yield half
                sooner = not half.lacking


def over(subject: Subject, gpu: str, count: int) -> int:
    """Bytes by which the weights alone are more than each GPU has; below 0 where they are less, or nobody knows."""
    there = TYPES[gpu].memory_mib
    taken = loaded(subject.model, {"tp_size": count}.get)
    return taken - there * MIB if there else -1


def _short_by(missing: int) -> str:
    return f"{missing / GIB:.1f} GiB short on each"


def _draft(subject: Subject, wanted: Wanted, gpu: str, count: int, kv: str) -> Draft:
    return Draft(
        subject=subject,
        release=wanted.release,
        gpu=gpu,
        count=count,
        kv=kv,
        context=wanted.context,
        running=wanted.running,
        name=wanted.name,
        app=wanted.app,
        compiles=compiles_kernels(subject, gpu),
    )


def _judged(draft: Draft, wanted: Wanted, prices: Mapping[str, Price]) -> Candidate | Refused:
    type_ = TYPES[draft.gpu]
    price = prices.get(draft.gpu, type_.price).dollars * draft.count
    if wanted.budget is not None and price > wanted.budget:
        return _refused(draft, price, DEAR, f"${price:,.2f} an hour")
    if (lacks := _lacks(draft)) is not None:
        return _refused(draft, price, OTHER, lacks)
    for _ in range(_ROUNDS):
        checked = check(read_text(profile_text(draft.data(), ()), "profile"), checkpoint=draft.subject.checkpoint)
        better = mended(draft, checked)
        if better is None or better == draft:
            break
        draft = better
    return _offered(draft, checked, wanted, price, prices)


def _lacks(draft: Draft) -> str | None:
    """What the GPU is missing, in words, that SGLang makes up for slowly or not at all; None for nothing."""
    major = TYPES[draft.gpu].capability[0]
    if major < AMPERE:
        return "its tensor cores have no BF16"
    if draft.subject.model.quantization == FP4 and major < BLACKWELL:
        return "its tensor cores have no FP4"
    return None


def _offered(
    draft: Draft, checked: Checked, wanted: Wanted, price: float, prices: Mapping[str, Price]
) -> Candidate | Refused:
    against = [found for found in checked.findings if found.severity is not Severity.INFO and found.waived is None]
    ids = {found.id for found in against}
    others = [found for found in against if found.id not in (_SHORT_POOL, _NO_ROOM)]
    if others or checked.facts is None:
        worst = min(others or against, key=lambda found: found.severity is not Severity.ERROR)
        return _refused(draft, price, OTHER, worst.message)
    try:
        sized = size.size(checked.facts, draft.subject.dimensions, prices=prices)
    except GlmdeployError as error:
        kind = SMALL if _NO_ROOM in ids else OTHER
        return _refused(draft, price, kind, error.message)
    if not sized.fits or _NO_ROOM in ids:
        missing = max(0, sized.memory.weights - sized.memory.static)
        return replace(_refused(draft, price, SMALL, _short_by(missing)), missing=missing)
    if sized.whole_requests < 1 or _SHORT_POOL in ids:
        holds = sized.memory.pool.tokens
        return replace(_refused(draft, price, SHORT, f"its KV cache holds {holds:,} tokens"), holds=holds)
    return Candidate(draft=draft, size=sized, wanted=wanted.running)


def _refused(draft: Draft, dollars: float, kind: str, why: str) -> Refused:
    return Refused(gpu=draft.gpu, count=draft.count, dollars=dollars, kind=kind, why=why)


def cheaper(found: Found) -> float:
    """The dollars an hour below which what was refused is of interest: those of the first that fits."""
    return found.candidates[0].dollars if found.candidates else float("inf")


def largest(found: Found) -> Refused | None:
    """Of what was refused for its memory, the one that came nearest."""
    by_memory = [each for each in found.refused if each.missing is not None or each.holds is not None]
    return min(by_memory, key=lambda each: (each.missing or 0, -(each.holds or 0)), default=None)
