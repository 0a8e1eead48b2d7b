"""What to write instead of an option or a value that a release does not take: a new name, another engine's, a slip."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glmdeploy.sglang import engines, releases
from glmdeploy.sglang.catalog import AmbiguousOption, UnknownOption
from glmdeploy.sglang.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glmdeploy.sglang.catalog import Catalog, Option
    from glmdeploy.sglang.dialects.equivalent import Equivalent


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """``reason`` is the end of the sentence that says what is wrong, ``fix`` what to write instead.

    ``instead`` are the settings that say the same, where no decision is left: one, under the old key or a new one.
    ``meant`` are the options that ``fix`` names, as the release spells them, without dashes.
    """

    reason: str = ""
    fix: str | None = None
    instead: Mapping[str, Any] | None = None
    meant: tuple[str, ...] = ()


def unknown(key: str, value: Any, release: Catalog, near: Sequence[str], reserved: Mapping[str, str]) -> Advice:
    """What to do about an option that the release lacks.

    ``near`` are spellings that it has, ``reserved`` the fields that have places of their own in a profile.
    """
    reason, fix = releases.unknown_option(key, value, release.version)
    if reason:
        return Advice(reason=reason, fix=fix, meant=_named(fix))
    names = [name.removeprefix("--") for name in near]
    if len(names) == 1 and _plain(key) == names[0]:
        return Advice(fix=f"write `{names[0]}`", instead={names[0]: value})
    if (plain := _plain(key)) != key and (name := _spelled(release, plain)):
        return Advice(fix=f"write `{name}`", instead={name: value}, meant=tuple(names))
    if known := engines.equivalent(key):
        engine, equal = known
        return _foreign(f", which is {engine.name}'s", equal, value, release, reserved)
    return Advice(fix=f"did you mean {_either(names)}?") if names else Advice()


def _foreign(reason: str, equal: Equivalent, value: Any, release: Catalog, reserved: Mapping[str, str]) -> Advice:
    why = f": {equal.note}" if equal.note else ""
    if equal.option is None:
        return Advice(reason=reason, fix=f"remove it, there is none{why}")
    ours = engines.spelled(equal.option, release.version)
    if not ours:
        return Advice(reason=reason, fix=f"remove it: SGLang's `{equal.option}` {_came(equal.option, release.version)}")
    if place := reserved.get(release.find(equal.option).dest if equal.option in ours else ""):
        return Advice(reason=reason, fix=f"remove it: that comes from {place}")
    meant = {name: engines.word(name, value, release) if said is None else said for name, said in ours.items()}
    words = [f"`{name}`" if said is None else f"`{name}: {_shown(said)}`" for name, said in meant.items()]
    plain = equal.note is None and list(meant.values()) == [None]
    return Advice(
        reason=reason,
        fix=f"write {' and '.join(words)}{why}",
        instead={next(iter(meant)): value} if plain else None,
        meant=tuple(meant),
    )


def _named(fix: str | None) -> tuple[str, ...]:
    """The names that a text has in backticks, a value behind a colon left out."""
    return tuple(name.partition(":")[0].lstrip("-") for name in re.findall("`([^`]+)`", fix or ""))


def _came(option: str, version: str) -> str:
    span = releases.flags()[f"--{option}"]
    return span.outside(version) or f"is not in {version}"


def refused(option: Option, value: Any, release: Catalog) -> Advice:
    """What to do about a value that is none of the option's choices."""
    name = option.canonical.removeprefix("--")
    if option.type == "human_readable_int" and isinstance(value, str):
        return _sized(value)
    if not option.choices or not isinstance(value, str):
        return Advice()
    if meant := engines.word(name, value, release):
        return Advice(fix=f"write `{meant}`: another engine calls it `{value}`", instead={name: meant})
    near = nearest(value, [choice for choice in option.choices if isinstance(choice, str)])
    if not near:
        return Advice()
    # A slip in a digit is another value, and which one is meant is not for us to say.
    sure = len(near) == 1 and re.findall(r"\d+", near[0]) == re.findall(r"\d+", value)
    if sure:
        return Advice(fix=f"write `{near[0]}`", instead={name: near[0]})
    return Advice(fix=f"did you mean {_either(near)}?")


_SWITCH = {
    **dict.fromkeys(("true", "yes", "on", "y", "1"), True),
    **dict.fromkeys(("false", "no", "off", "n", "0"), False),
}


def switched(key: str, value: Any) -> Advice:
    """What to do about a switch that is given a word or a digit."""
    meant = _SWITCH.get(str(value).lower())
    return Advice() if meant is None else Advice(fix=f"write `{str(meant).lower()}`", instead={key: meant})


def _sized(value: str) -> Advice:
    """What to do about an integer whose unit is written in another way: ``128K`` is not known to be 128,000."""
    found = re.fullmatch(r"\s*([0-9]+)\s*([kmgt])(i?b?)\s*", value, re.IGNORECASE)
    if found is None:
        return Advice()
    letter = "k" if found[2] in "kK" else found[2].upper()
    power = "kMGT".index(letter) + 1
    thousands, binary = f"{found[1]}{letter}", f"{found[1]}{letter.upper()}i"
    counted = int(found[1])
    return Advice(
        fix=f"did you mean `{thousands}` ({counted * 1000**power:,}) or `{binary}` ({counted * 1024**power:,})?"
    )


def _spelled(release: Catalog, name: str) -> str | None:
    """The release's own spelling of an option that it takes by this name; None where it takes none."""
    try:
        option = release.find(name)
    except (UnknownOption, AmbiguousOption):
        return None
    return name if option.negates(f"--{name}") else option.canonical.removeprefix("--")


def _plain(key: str) -> str:
    return key.lstrip("-").replace("_", "-").lower()


def _either(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
