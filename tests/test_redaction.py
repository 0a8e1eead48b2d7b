"""No finding shows a secret, and each still points at its own place."""

from __future__ import annotations

import dataclasses
import string
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import TODAY, checked
from support import PATIENCE

from glmdeploy import redaction
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@word@host/img", "https://***@host/img"),
        ("https://me:pass/word@host/img", "https://***@host/img"),
        ("https://a-long-token@host/img", "https://***@host/img"),
        ("https://git@host/img", "https://git@host/img"),
        ("me:pass-word@registry.example/img", "***@registry.example/img"),
        ("https://host/x?a=1&token=abcdef&b=2", "https://host/x?a=1&token=***&b=2"),
        ("https://host/x?sig=abcdef", "https://host/x?sig=***"),
        ("Authorization: Bearer abc123def", "Authorization: Bearer ***"),
        ("curl -H 'x-api-key: abc123'", "curl -H 'x-api-key: ***'"),
        ("MY_API_KEY=correct-horse", "MY_API_KEY=***"),
        ("the URL is https://me:pass-w...", "the URL is https://***..."),
        # What stands there is no secret.
        ("MY_API_KEY=$KEY MY_API_KEY=... HF_TOKEN=<token>", "MY_API_KEY=$KEY MY_API_KEY=... HF_TOKEN=<token>"),
        ("Authorization: Bearer $API_KEY", "Authorization: Bearer $API_KEY"),
        ("a bearer of news", "a bearer of news"),
        ("https://host:8000/v1?page=2", "https://host:8000/v1?page=2"),
        ("lmsysorg/sglang:v0.5.11@sha256:" + "ab01" * 16, "lmsysorg/sglang:v0.5.11@sha256:" + "ab01" * 16),
        ("registry:5000/a/b:tag", "registry:5000/a/b:tag"),
    ],
)
def test_what_stands_where_secrets_do(text: str, shown: str) -> None:
    assert redaction.mask(text) == shown


@pytest.mark.parametrize("piece", ["a:", "://a:", "a:bbbbb@", "(a:bbbb", "?token=", "Bearer ", "TOKEN=", "-"])
def test_no_text_makes_the_search_slow(piece: str) -> None:
    start = time.perf_counter()
    redaction.mask(piece * (100_000 // len(piece)))
    assert time.perf_counter() - start < 2 * PATIENCE
