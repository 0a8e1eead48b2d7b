"""A password in an image's name is shown by no finding, however a rule takes the name apart."""

from __future__ import annotations

import json

import pytest
from reporting import call

SECRET = "passw0rd-X9"


@pytest.mark.parametrize(
    "image",
    [
        f"https://me:{SECRET}@host/img",
        f"https://me:{SECRET}@host/img:v1",
        f"https://me:{SECRET}@host",
        f"https://me:p@{SECRET}@host/img:latest",
        f"https://me:p/{SECRET}@host/img",
        f"https://{SECRET}@host/img",
        f"https://host/img?token={SECRET}",
        f"me:{SECRET}@host/img:latest",
        f"HF_TOKEN={SECRET}",
    ],
)
@pytest.mark.parametrize("form", ["pretty", "json", "sarif", "junit", "github"])
def test_no_format_shows_it(image: str, form: str) -> None:
    setting = f"sglang.image={json.dumps(image)}"
    code, shown, errors = call("validate", "local-cpu", "--set", setting, "--format", form)[:3]
    assert SECRET not in shown + errors
    assert code in (0, 1)
