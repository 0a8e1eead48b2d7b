"""Whose plan a version runs: followed through rollbacks and rollovers, to a tag that names a plan, or to nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variations import variation

from glmdeploy.operate.history import DIGITS, NOTE_CHARACTERS, History, Version, deployment_tag

AT = datetime(2026, 11, 26, tzinfo=UTC)
TAGS = {"a": f"prod.{'a' * DIGITS}", "b": f".{'b' * DIGITS}", "none": "", "other": "v1.2.3"}


def history(*entries: dict[str, Any]) -> History:
    """Versions from 1 on, the newest last."""
    versions = [
        Version(number=number, at=AT, by="me", **{"tag": "", **entry}) for number, entry in enumerate(entries, start=1)
    ]
    return History(app_id="ap-1", production=len(versions), versions=tuple(reversed(versions)))


@pytest.mark.parametrize(
    ("entries", "origin"),
    [
        ([{"tag": TAGS["a"]}], 1),
        ([{"tag": TAGS["a"]}, {"tag": TAGS["b"]}, {"kind": "rollback", "rollback_version": 1}], 1),
        ([{"tag": TAGS["a"]}, {"kind": "rollover"}], 1),
        ([{"tag": TAGS["a"]}, {"kind": "rollover"}, {"kind": "rollover"}], 1),
        (
            [
                {"tag": TAGS["a"]},
                {"tag": TAGS["b"]},
                {"kind": "rollback", "rollback_version": 1},
                {"kind": "rollover", "rollback_version": 1},
                {"kind": "rollback", "rollback_version": 4},
            ],
            1,
        ),
        ([{"tag": TAGS["a"]}, {"tag": TAGS["other"]}], None),
        ([{"tag": TAGS["a"]}, {"tag": TAGS["none"]}], None),
        ([{"tag": TAGS["none"]}, {"tag": TAGS["a"]}, {"kind": "rollback", "rollback_version": 1}], None),
        ([{"kind": "rollback", "rollback_version": 1}], None),
        ([{"kind": "rollback", "rollback_version": 9}], None),
    ],
)
def test_whose_plan_runs(entries: list[dict[str, Any]], origin: int | None) -> None:
    found = history(*entries).origin(len(entries))
    assert (found.number if found else None) == origin


@given(
    entries=st.lists(
        st.fixed_dictionaries(
            {
                "tag": st.sampled_from(sorted(TAGS.values())),
                "kind": st.sampled_from(["standard", "rollback", "rollover", "staged", "promotion"]),
                "rollback_version": st.integers(0, 6),
            }
        ),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_history_says_the_way_ends(entries: list[dict[str, Any]]) -> None:
    past = history(*entries)
    for version in past.versions:
        found = past.origin(version.number)
        assert found is None or found.digits


@given(note=st.text(st.sampled_from("abc.-_ 1f"), max_size=60))
def test_a_tag_is_read_back(note: str) -> None:
    plan = variation()
    tag = deployment_tag(plan, note)
    assert len(tag) <= 50
    version = Version(number=1, at=AT, by="me", tag=tag)
    assert version.digits == plan.digest[:DIGITS]
    assert version.note == (note[:NOTE_CHARACTERS] or plan.profile)
