"""How people are told times, durations, money, bytes and numbers: the same in every text.

Times are those of this machine's time zone (`TZ`); where others read the text, as in a pull request, of UTC, which is
then said. JSON has ISO 8601 in UTC, seconds, bytes and dollars instead.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from glmdeploy import gpus

if TYPE_CHECKING:
    from datetime import tzinfo

    from glmdeploy.plan.plan import Plan

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = (("days", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def moment(at: datetime, now: datetime | None = None, *, zone: tzinfo | None = None) -> str:
    """``27 Nov 10:31``, with the year where it is not that of ``now``, which is the present.

    ``zone`` is this machine's time zone where none is given; the text names UTC, and no other.
    """
    local, present = at.astimezone(zone), (now or datetime.now(UTC)).astimezone(zone)
    year = f" {local.year}" if local.year != present.year else ""
    return f"{local.day} {_MONTHS[local.month - 1]}{year} {local:%H:%M}{' UTC' if zone is UTC else ''}"


def iso(at: datetime | None) -> str | None:
    """For JSON: ``2026-11-27T10:31:05Z``; None for None."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """Exact to the second below an hour, to the minute below a day: ``11 s``, ``4 min 51 s``, ``2 h 10 min``.

    In the two largest units; what is less than one second is in milliseconds.
    """
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    rest, parts = round(seconds), []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {'day' if name == 'days' and count == 1 else name}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"


def about(seconds: float) -> str:
    """Of an estimate, which has no seconds from two minutes on: ``45 s``, ``8 min``, ``2 h 10 min``."""
    return duration(seconds if seconds < 120 else round(seconds / 60) * 60)


def dollars(amount: float) -> str:
    """``$7.90``, and in whole dollars from ten on: ``$50``, ``$1,234``."""
    return f"${amount:,.0f}" if amount >= 9.995 else cents(amount)


def about_dollars(amount: float) -> str:
    """Of an estimate, which has no cents from one dollar on: ``$0.35``, ``$7``."""
    return f"${amount:,.0f}" if amount >= 0.995 else cents(amount)


def cents(amount: float) -> str:
    """To the cent, as in a column of amounts: ``$1,234.50``."""
    return f"${amount:,.2f}"


def count_bytes(count: float) -> str:
    """In powers of a thousand: ``756 GB``, ``5.9 GB``, ``120 kB``."""
    scaled, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:,.1f} {unit}" if unit != "bytes" and scaled < 9.95 else f"{scaled:,.0f} {unit}"


def gib(count: float) -> str:
    """Memory, which comes in powers of two: ``5.9 GiB``."""
    return f"{count / 2**30:,.1f} GiB"


def replica(plan: Plan) -> str:
    """What serves: ``B200:8 or H200:8``, ``2 × B200:8 with RDMA``."""
    return gpus.rented(" or ".join(plan.gpus), plan.nodes) + (
        " with RDMA" if plan.cluster and plan.cluster.rdma else ""
    )


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 container``, ``1,870 kernels``; ``many`` where the plural has no `s` alone."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def tokens(count: int) -> str:
    """``64,512 tokens``."""
    return counted(count, "token")
