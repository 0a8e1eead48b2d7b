"""A small profile without errors, the same with an FP8 KV cache, and what the tests of fixes do with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy import cli

if TYPE_CHECKING:
    import pytest

GOOD = """\
# Served to the search team.
schema: 1
name: small
app: small
model: {repo: zai-org/GLM-5.1-FP8, served_name: glm-5.1}
gpu: B200:8
volumes:
  weights: {name: weights, mount: /model-cache}
  kernels: {name: kernels, mount: /dg-cache}
secrets: {api_key: {name: key, keys: [API_KEY]}}
compile: {timeout: 1h}
sglang:
  version: 0.5.11
  image: lmsysorg/sglang:v0.5.11-cu130
  env: {SGLANG_DG_CACHE_DIR: /dg-cache}
  args:
    tp: 8
    watchdog-timeout: 1200
    reasoning-parser: glm45
    tool-call-parser: glm47
    speculative-algorithm: EAGLE
    kv-cache-dtype: bfloat16      # as asked
"""
BAD = GOOD.replace("kv-cache-dtype: bfloat16 ", "kv-cache-dtype: fp8_e4m3 ")


def validate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["validate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def written(text: str) -> Path:
    path = Path("p.yaml")
    path.write_bytes(text.encode())
    return path
