"""What an option of another engine is in SGLang."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Equivalent:
    """What an option of another engine is in SGLang: ``option`` without its dashes, None where there is none.

    ``option`` is the newest release's name. ``note`` says what differs, or why there is none or none is needed.
    """

    option: str | None
    note: str | None = None


def called(option: str, note: str | None = None) -> Equivalent:
    """SGLang has it as ``option``."""
    return Equivalent(option=option, note=note)


def none(note: str) -> Equivalent:
    """SGLang has none; ``note`` says why, or what to do instead."""
    return Equivalent(option=None, note=note)


def same(*names: str) -> dict[str, Equivalent]:
    """Options that SGLang has under the same names and with the same meanings."""
    return {name: Equivalent(option=name) for name in names}


NODES = called("nnodes", "in a profile `cluster.nodes`")
NODE_RANK = called("node-rank", "in no profile: Modal tells each container of a `cluster` which node it is")
ADDRESS = called(
    "dist-init-addr",
    "address and port in one, `HOST:PORT`; in no profile: Modal tells the containers of a `cluster`",
)
TWO_ROLES = called("disaggregation-mode", "`prefill` or `decode`: two servers, and a profile is one")
