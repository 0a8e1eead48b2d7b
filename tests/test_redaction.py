"""No finding shows a secret, and each still points at its own place."""

from __future__ import annotations

import dataclasses
import string
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from judged import TODAY, checked

from glmdeploy.profile.text.load import load
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40).map("0{}1".format)
"""No words, which findings may hold of their own accord: hypothesis tries those that it finds in code."""


@given(SECRETS, SECRETS, SECRETS, st.sampled_from(["", " of mine"]))
def test_no_secret_is_shown(named: str, key: str, token: str, more: str) -> None:
    """Several on one line, with findings of other rules between them, in values, keys and prose."""
    token = f"hf_{token:x<34}"
    sets = (
        f"sglang.args={{api-key: '{key}', tp: 4, ssl-keyfile-password: s{named}, admin-api-key: '{key} {more}'}}",
        f"server.env={{A_TOKEN: t{named}, HF_TOKEN: {token}, MODAL_REGION: x, B_PASSWORD: '{named} {more}'}}",
        f"sglang.env={{OTHER_KEY: k{named}, MODAL_REGION: x}}",
        f'tags."{token}"=x',
        f"description=use {token}{more}",
        f"waive=[{{rule: GLM020, reason: 'see {token}', until: '2999-01-01'}}]",
    )
    found = checked(*sets).findings
    shown = "\n".join(repr(dataclasses.replace(finding, edits=())) for finding in found)
    for secret in (named, key, token):
        assert secret not in shown
    assert {"GLM020", "GLM062", "GLM063", "GLM078", "GLM079"} <= {finding.id for finding in found}
    for finding in found:
        place = finding.location
        assert 1 <= place.column <= len(place.text)
        if finding.secret:
            assert place.text[place.column - 1 :][: place.length] == "***"


def test_a_place_beside_a_secret_is_still_its_own(tmp_path: Path) -> None:
    file = tmp_path / "profile.yaml"
    file.write_text(
        "extends: b200-eagle-bf16kv\n"
        "sglang: {args: {api-key: not-a-real-key, tp: 4, ssl-keyfile-password: not-a-real-one, load-format: dummy}}\n"
    )
    found = {finding.id: finding.location for finding in check(load(str(file)), today=TODAY).findings}
    line = "sglang: {args: {api-key: ***, tp: 4, ssl-keyfile-password: ***, load-format: dummy}}"
    for rule, value in {"GLM020": "4", "GLM066": "dummy", "GLM063": "***"}.items():
        place = found[rule]
        assert place.text == line
        assert line[place.column - 1 : place.column - 1 + place.length] == value
