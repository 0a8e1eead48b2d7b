"""What can be a key, and which variables SGLang's processes do not get."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.engine import EngineError
from glmdeploy.runtime.keys import unusable, without_secrets
from glmdeploy.runtime.server import key_of

UNUSABLE = {
    None: "is missing",
    "": "is empty",
    " ": "is blank",
    "\n": "is blank",
    "\t \r\n": "is blank",
    "-": "begins with `-`",
    "--api-key=x": "begins with `-`",
    "sk-123\n": "has a line break",
    "sk\r\n123": "has a line break",
    "sk\u2028123": "has a line break",
    " sk-123": "begins or ends with a blank",
    "sk-123\t": "begins or ends with a blank",
    "sk\u00a0": "begins or ends with a blank",
    "schlüssel": "has characters that are not printable ASCII",
    "sk\t123": "has characters that are not printable ASCII",
    "sk\x00123": "has characters that are not printable ASCII",
    "sk\x7f": "has characters that are not printable ASCII",
}
PLAN = {"api_key": {"name": "my-secret", "keys": ["API_KEY"]}, "server": {}}


@pytest.mark.parametrize(("value", "reason"), UNUSABLE.items())
def test_why_a_text_is_no_key(value: str | None, reason: str) -> None:
    assert unusable(value) == reason


@pytest.mark.parametrize("key", ["x", "sk-0123", "with a blank", 'it\'s "quoted" \\ $ {}', "=", "Bearer x"])
def test_what_can_be_a_key(key: str) -> None:
    assert unusable(key) is None


@given(st.text())
def test_a_usable_key_can_be_a_header(key: str) -> None:
    if unusable(key) is None:
        assert key == key.strip()
        assert set(key) <= {*string.printable} - {*"\t\n\r\x0b\x0c"}
        assert not key.startswith("-")


@pytest.mark.parametrize(("value", "reason"), UNUSABLE.items())
def test_a_start_without_a_usable_key_names_secret_and_key_but_never_the_value(value: str | None, reason: str) -> None:
    with pytest.raises(EngineError) as raised:
        key_of(PLAN, {} if value is None else {"API_KEY": value})
    assert f"API_KEY of the secret my-secret {reason}." in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    if value and len(value.strip()) > 3:
        assert value.strip() not in repr(raised.value)


@pytest.mark.parametrize("server", [{}, {"public": False}, {"public": None}, {"public": "yes"}])
def test_without_a_key_only_a_server_that_is_said_to_be_public_starts(server: dict[str, object]) -> None:
    with pytest.raises(EngineError, match=r"server\.public"):
        key_of({"server": server}, {"API_KEY": "sk-1"})
    assert key_of({"server": {"public": True}}, {"API_KEY": "sk-1"}) is None


def test_a_usable_key_is_taken() -> None:
    assert key_of(PLAN, {"API_KEY": "sk-1"}) == "sk-1"
    assert key_of({**PLAN, "server": {"public": True}}, {"API_KEY": "sk-1"}) == "sk-1"


def test_variables_with_the_secret_in_them_are_left_out() -> None:
    environment = {
        "API_KEY": "sk-012345",
        "OTHER": "abc",
        "EMPTY": "",
        "COPY": "sk-012345",
        "HEADER": "Authorization: Bearer sk-012345",
        "ALSO": "abc",
        "PATH": "/abc/bin",
        "HOME": "/root",
    }
    left = without_secrets(environment, ["API_KEY", "OTHER", "EMPTY", "ABSENT"])
    assert left == {"PATH": "/abc/bin", "HOME": "/root"}
