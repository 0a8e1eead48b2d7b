"""Names and forms of secrets."""

from __future__ import annotations

import pytest
from judged import checked, messages

from glmdeploy.rules.guards.leaks import SECRET_NAME, SECRET_VALUE


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", "abcdef", True),
        ("hf_token", "abcdef", True),
        ("AWS_SECRET_ACCESS_KEY", "abcdef", True),
        ("TOKEN", "abcdef", True),
        ("DATABASE_PASSWORD", "1234", True),
        ("WEBHOOK_SECRET", "no-path/but/a/value", True),
        ("MONKEY", "abcdef", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("MAX_TOKENS", "1234", False),
        ("HF_TOKEN", "", False),
        ("HF_TOKEN", "  ", False),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", False),
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "TRUE", False),
        ("SSH_PRIVATE_KEY", "/run/secrets/key", False),
        ("SSH_PRIVATE_KEY", "~/.ssh/id", False),
        ("HF_TOKEN", "${HF_TOKEN}", False),
        ("HF_TOKEN_PATH", "token", False),
    ],
)
def test_names_that_say_secret(name: str, value: str, secret: bool) -> None:
    for stage in ("download", "sglang", "server"):
        assert bool(messages("GLM079", f"{stage}.env.{name}='{value}'")) is secret


def test_a_token_is_found_once_and_by_its_form() -> None:
    token = f"hf_{'x' * 34}"
    found = checked(f"sglang.env.HF_TOKEN={token}", f"sglang.args.api-key={token}").findings
    assert [finding.id for finding in found if finding.id in (SECRET_VALUE.id, SECRET_NAME.id)] == ["GLM063", "GLM063"]


def test_options_nested_in_json_are_read_too() -> None:
    option = "sglang.args.hicache-storage-backend-extra-config"
    assert messages("GLM079", f"{option}={{endpoint: /tmp/x, accessKey: abcdef}}")
    assert not messages("GLM079", f"{option}={{endpoint: /tmp/x, monkey: abcdef}}")
