"""No secret's value leaves an import: not in the profile, not in a note, not in the line that a note shows."""

from __future__ import annotations

import json
import time

import pytest
from support import PATIENCE

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.masking import holds_secret, masked
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.report.run import finding_data
from glmdeploy.report.text import finding_text

SECRET = "correct-horse.battery"
LAUNCH = "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8"


def output(text: str, file: str = "run.sh") -> str:
    """Everything that an import gives out."""
    try:
        result = import_script(Script(file=file, text=text), ImportOptions(sglang_version="0.5.16"))
    except ProfileError as error:
        return str(error) + "".join(finding_text(found) + json.dumps(finding_data(found)) for found in error.findings)
    except GlmdeployError as error:
        return f"{error.message}{error.advice}"
    findings = (*result.notes, *(result.checked.findings if result.checked else ()))
    shown = "".join(finding_text(found) + json.dumps(finding_data(found)) for found in findings)
    return f"{result.text}{json.dumps(result.data)}{shown}"


# Each line also has a fault, so that it is shown.
@pytest.mark.parametrize(
    "text",
    [
        f"{LAUNCH} --api-key {SECRET} --nope",
        f"{LAUNCH} --api-key={SECRET} --nope",
        f"{LAUNCH} --api-k '{SECRET}' --nope",
        f'{LAUNCH} --api"-key" "{SECRET}" --nope',
        f"{LAUNCH} --api-key \\\n  {SECRET} --nope",
        f"{LAUNCH} --admin-api-key {SECRET} --nope",
        f"{LAUNCH} --ssl-keyfile-password {SECRET} --nope",
        f"{LAUNCH} --api-key {SECRET} --api-key other --nope",
        f"{LAUNCH} --api-key= {SECRET} --nope",
        f"{LAUNCH} --hf-token {SECRET}",
        f"KEY={SECRET}; {LAUNCH} --api-key $KEY --nope",
        f"WORD={SECRET}; {LAUNCH} --api-key $WORD --nope $WORD",
        f'WORD={SECRET}; bash -c "{LAUNCH} --api-key $WORD --nope"',
        f"OPTIONS='--api-key {SECRET}'; {LAUNCH} $OPTIONS --nope",
        f"{LAUNCH} --api-key ${{KEY:-{SECRET}}} --nope",
        f"HF_TOKEN={SECRET} {LAUNCH} --nope",
        f"export MY_API_KEY='{SECRET}'; {LAUNCH} --nope",
        f"docker run -e HF_TOKEN={SECRET} -e DB_PASSWORD={SECRET} image {LAUNCH} --nope",
        f"docker run --env=SOME_SECRET={SECRET} image {LAUNCH} --nope",
        f"{LAUNCH} --api-key {SECRET} 'open",
        f"{LAUNCH} --api-key '{SECRET}",
        f"HF_TOKEN={SECRET} echo 'nothing",
        f"TOKEN={SECRET} echo 'nothing",
        f"HF_TOKEN={SECRET} HUGGING_FACE_HUB_TOKEN={SECRET} {LAUNCH} --nope",
        f"{LAUNCH} --api-key {SECRET}$MORE --nope",
        f"python3 -m sglang.launch_server --tp 8 --api-key {SECRET}",
        f"{LAUNCH} --api-key {SECRET}; {LAUNCH} --api-key {SECRET}",
    ],
)
def test_a_secret_in_a_shell_text(text: str) -> None:
    assert SECRET not in output(text)


@pytest.mark.parametrize(
    "text",
    [
        f"model-path: a/b\napi-key: {SECRET}\nnope: 1\n",
        f"model-path: a/b\napi-key: '{SECRET}'\napi-key: {SECRET}\n",
        f'model-path: a/b\napi-key: "{SECRET}\n',
        f"{{model-path: a/b, api-key: {SECRET}, nope: 1}}",
    ],
)
def test_a_secret_in_a_configuration_file(text: str) -> None:
    assert SECRET not in output(text, "server.yaml")


@pytest.mark.parametrize("token", ["hf_" + "a" * 30, "sk-" + "b" * 30, "ghp_" + "c" * 30])
def test_a_token_is_known_by_its_form(token: str) -> None:
    assert token not in output(f"SGLANG_X={token} {LAUNCH} --chat-template {token} --nope {token}")


def test_the_key_s_variable_is_kept() -> None:
    result = import_script(Script(file="x", text=f'{LAUNCH} --api-key "$MY_KEY"'), ImportOptions())
    assert result.data is not None
    assert result.data["secrets"]["api_key"]["keys"] == ["MY_KEY"]
    mixed = import_script(Script(file="x", text=f'{LAUNCH} --api-key "a$MY_KEY"'), ImportOptions())
    assert mixed.data is not None
    assert mixed.data["secrets"]["api_key"]["keys"] == ["API_KEY"]


def test_names_and_values_of_secrets() -> None:
    secret = ["HF_TOKEN", "API_KEY", "WANDB_API_KEY", "DB_PASSWORD", "AWS_SECRET", "APIKEY", "key"]
    open_ = ["TOKENIZERS_PARALLELISM", "SGLANG_LOG_DECODE_GRAPH_KEY", "MAX_TOKENS", "HF_HOME", "KEYS_DIR", "PATH"]
    assert [name for name in (*secret, *open_) if holds_secret(name, None)] == secret
    assert holds_secret("PROXY", "http://me:password@proxy:80")
    assert not holds_secret("PROXY", "http://proxy:80/sk")


@pytest.mark.parametrize(
    "piece", ["-", "-a", "--api-key ", "login ", "KEY ", "key='", "name: TOKEN\n", "a:", "://", "-u "]
)
def test_no_text_makes_the_masking_slow(piece: str) -> None:
    start = time.perf_counter()
    masked(piece * (100_000 // len(piece)))
    assert time.perf_counter() - start < 3 * PATIENCE
