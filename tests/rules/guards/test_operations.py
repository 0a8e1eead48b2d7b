"""Paths that are in no volume."""

from __future__ import annotations

import re

import pytest
from judged import messages


@pytest.mark.parametrize(
    ("sets", "reads"),
    [
        (("lora-paths=[a=/x/y]",), ["/x/y"]),
        (("lora-paths=[/x/y, b=/model-cache/b]",), ["/x/y"]),
        (('lora-paths=[\'{"lora_name": "a", "lora_path": "/x/y"}\']',), ["/x/y"]),
        (("lora-paths=[some-org/adapter]",), []),
        (("tokenizer-path=/model-cache/../etc",), ["/model-cache/../etc"]),
        (("tokenizer-path=/model-cache-2/x",), ["/model-cache-2/x"]),
        (("chat-template=glm.jinja",), ["glm.jinja"]),
        (("chat-template=chatml",), []),
    ],
)
def test_paths_in_no_volume(sets: tuple[str, ...], reads: list[str]) -> None:
    found = messages("GLM075", *(f"sglang.args.{assignment}" for assignment in sets))
    assert [re.findall("reads (.*), which is in no volume", message)[0] for message in found] == reads
