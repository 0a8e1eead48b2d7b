"""What is suggested for a name that is none: what slips make of a name leads back to it, and no opposite is offered."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import AmbiguousOption, UnknownOption
from glmdeploy.sglang.spelling import nearest

RELEASES = [catalog.load(version) for version in catalog.versions()]
FLAGS = sorted({flag for each in RELEASES for option in each.options for flag in option.flags if flag[:2] == "--"})
TURNS = ("enable-", "disable-", "no-", "skip-", "")


def meant(release: catalog.Catalog, name: str) -> tuple[str, ...]:
    """What the release suggests for a name that it does not take for an option."""
    try:
        release.find(name)
        reject()
    except AmbiguousOption as error:
        return error.candidates
    except UnknownOption as error:
        return tuple(flag for candidate in error.candidates for flag in release.find(candidate).flags)


@st.composite
def slips(draw: st.DrawFn) -> tuple[catalog.Catalog, str, str]:
    """A release, one of its options, and its name with a letter lost or two neighbours in the wrong order."""
    release = draw(st.sampled_from(RELEASES))
    flag = draw(st.sampled_from([flag for option in release.options for flag in option.flags if len(flag) > 5]))
    at = draw(st.integers(2, len(flag) - 2))
    assume("-" not in flag[at : at + 2])
    lost = f"{flag[:at]}{flag[at + 1 :]}"
    swapped = f"{flag[:at]}{flag[at + 1]}{flag[at]}{flag[at + 2 :]}"
    return release, flag, draw(st.sampled_from([lost, swapped]))


@given(slips())
def test_a_slip_leads_back(slip: tuple[catalog.Catalog, str, str]) -> None:
    release, flag, written = slip
    known = {flag for option in release.options for flag in option.flags}
    assume(written not in known)
    assert flag in meant(release, written)


@given(st.sampled_from(FLAGS), st.sampled_from(TURNS), st.data())
def test_never_the_opposite(flag: str, turn: str, data: st.DataObject) -> None:
    name = flag.removeprefix("--")
    core = next((name.removeprefix(each) for each in TURNS if each and name.startswith(each)), name)
    denies = name != core and not name.startswith("enable-")
    assume((turn in ("disable-", "no-", "skip-")) != denies)
    written = turn + core
    at = data.draw(st.integers(len(turn), len(written) - 1))
    written = data.draw(st.sampled_from([written, written[:at] + written[at + 1 :]]))
    assume(not {"no", "not", "off", "skip", "disable", "disabled", "without"} & set(core.split("-")))
    assert flag not in nearest(f"--{written}", FLAGS)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("reasoning_parser", ["--reasoning-parser"]),
        ("mem-frac-static", ["--mem-fraction-static"]),
        ("spec-algo", ["--speculative-algorithm"]),
        ("Disable-Radix-Cache", ["--disable-radix-cache"]),
        ("disabel-radix-cache", ["--disable-radix-cache"]),
        ("kv-dtype-cache", ["--kv-cache-dtype"]),
        ("-dp", ["--dp-size"]),
        ("sleep-no-idle", ["--sleep-on-idle"]),
        ("disable-log-requests", []),
        ("radix-cache", []),
        ("no-overlap-schedule", []),
        ("max-num-batched-tokens", []),
        ("swap-space", []),
        ("image", []),
        ("spec", []),
        ("x", []),
        ("", []),
        ("\u00e4\u00f6", []),
    ],
)
def test_examples(written: str, wanted: list[str]) -> None:
    try:
        RELEASES[-1].find(written)
    except AmbiguousOption:
        assert wanted == []
    except UnknownOption as error:
        assert list(error.candidates) == wanted


@pytest.mark.parametrize(
    ("written", "known", "wanted"), [("H20", ["H200", "L4"], ("H200",)), ("B20O", ["B200"], ("B200",))]
)
def test_short_names(written: str, known: list[str], wanted: tuple[str, ...]) -> None:
    assert nearest(written, known) == wanted


def test_the_nearest_comes_first() -> None:
    assert nearest("tp-siz", ["pp-size", "tp-size", "tp-sized"]) == ("tp-size", "pp-size", "tp-sized")
