"""Secrets are known by their form, nothing else is, and masking leaves the rest of a text where it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.redaction import FORMS, MASK, Form, find, mask, masked
from glmdeploy.resources import profiles_dir

ROOT = Path(__file__).parent.parent
PROFILES = [
    file
    for folder in (profiles_dir(), ROOT / "tests" / "examples")
    for file in folder.rglob("*.yaml")
    if not re.match(r"# expect: GLM06[23]", file.read_text())
]
KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n{KEY}\nMzEfYyjiWA4R4==\n-----END RSA PRIVATE KEY-----"


@st.composite
def secrets(draw: st.DrawFn, form: Form) -> tuple[str, str]:
    """A secret's prefix, and the rest of it."""
    body = draw(st.from_regex(re.compile(form.body.replace("(?=@)", "")), fullmatch=True))
    return draw(st.sampled_from(form.prefixes)), body


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
@given(data=st.data())
def test_form(form: Form, data: st.DataObject) -> None:
    prefix, body = data.draw(secrets(form))
    text = f"before {prefix}{body}@ after"
    tokens = find(text)
    # A long body may hold another token.
    assert form.kind in {token.kind for token in tokens}
    assert all(0 <= token.start < token.start + token.visible <= token.end <= len(text) for token in tokens)
    assert prefix + body not in mask(text)
    assert mask(text).startswith("before ")
    assert mask(text).endswith(" after")


@pytest.mark.parametrize(
    "style", [{"bold": True}, {"fg": "red"}, {"fg": "bright_red", "bold": True}, {"fg": (200, 100, 255), "bg": 123}]
)
def test_what_stands_behind_a_color_is_masked(style: dict[str, Any]) -> None:
    token = "ghp_" + "aB3dE6gH9j" * 4
    assert token[4:] not in mask(click.style(token, **style))
    assert token[4:] not in mask(f"x{click.style(token, reset=False, **style)}")


@given(st.one_of(*map(secrets, FORMS)), st.text(), st.text())
def test_masking_twice_is_masking_once(secret: tuple[str, str], before: str, after: str) -> None:
    once = mask(f"{before} {''.join(secret)}@{after}")
    assert mask(once) == once


@given(
    st.lists(
        st.sampled_from([f"hf_{'a1' * 17}", "sk-" + "b" * 30, "plain", "kv-cache-dtype: ", "\t", "="]), max_size=8
    ),
    st.data(),
)
def test_what_is_not_masked_keeps_its_span(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    shown, first, last = masked(text, start, end)
    assert shown == mask(text)
    assert 0 <= first <= last <= len(shown)
    assert mask(text[:start]) + shown[first:] == shown or any(token.start < start < token.end for token in find(text))
    if not any(token.start < end and start < token.end for token in find(text)):
        assert shown[first:last] == text[start:end]


@pytest.mark.parametrize(
    "text",
    [
        "revision: 0123456789abcdef0123456789abcdef01234567",
        "lmsysorg/sglang:v0.5.11-cu130@sha256:" + "ab01" * 16,
        "task-0123456789abcdef0123",
        "disk-" + "a1" * 20,
        "app: sk-learn-with-a-very-long-name-1",
        "HF_HUB_ENABLE_HF_TRANSFER hf_transfer",
        "as-is ak-47 ws-1234abcd hf_... sk-... ghp_",
        "http://user:$PASSWORD@proxy:80 http://user:${PASSWORD}@proxy https://host:8000/path@1",
        "/model-cache/GLM/5/FP8/snapshots/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
        "-----BEGIN CERTIFICATE-----",
        "eyJhbGciOiJIUzI1NiJ9",
        "AKIA1234",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert find(text) == ()
    assert mask(text) == text


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_profiles_hold_none(file: Path) -> None:
    assert mask(file.read_text()) == file.read_text()


def test_what_stays_visible() -> None:
    assert mask(f"HF_TOKEN=hf_{'a1' * 17};") == f"HF_TOKEN=hf_{MASK};"
    assert mask("proxy: http://me:pass-word@proxy:80/") == f"proxy: http://{MASK}@proxy:80/"
    assert mask(f"a\n{PEM}\nb") == f"a\n-----BEGIN {MASK}\nb"


@pytest.mark.parametrize(
    "text",
    [
        f'"first\\n{"hf_" + "q7" * 17}"',
        f"`\\x1b{'hf_' + 'q7' * 17}`",
        f"hf_{'q7' * 10}...",
        f"sk-ant-{'q7' * 10}...",
        f"the key {KEY[:57].replace('K', 'q7')}... has no value",
        f"  {KEY.replace('K', 'q7')}",
        f"key: -----BEGIN PRIVATE KEY-----{KEY.replace('K', 'q7')}",
        "eyJ" + "q7" * 10 + ".eyJ" + "q7" * 9 + "...",
    ],
)
def test_what_messages_and_lines_show_of_one(text: str) -> None:
    assert "q7" not in mask(text)


def test_sources() -> None:
    for form in FORMS:
        assert form.source.startswith("https://") or "(modal 1." in form.source
