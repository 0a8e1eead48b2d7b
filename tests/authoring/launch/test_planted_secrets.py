"""A secret that is planted in a launch under a mistake of typing never comes out: not in the profile, not in a message,
not in an excerpt, and of what was written no check shows it either.
"""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.profile.text.load import read_text
from glmdeploy.report.run import imported_data
from glmdeploy.report.text import finding_text
from glmdeploy.rules.check import check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glmdeploy.findings import Finding

LAUNCH = "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8"
IMAGE = "lmsysorg/sglang:v0.5.11"

MISTAKES = (
    "docker run HF_TOKEN={secret} {image} {launch}",
    "docker run --gpus all HF_TOKEN={secret} {image} {launch}",
    "docker run -e HF_TOKEN {secret} {image} {launch}",
    "docker run -e HF_TOKEN = {secret} {image} {launch}",
    "docker run -e 'HF_TOKEN: {secret}' {image} {launch}",
    "docker run --env HF_TOKEN={secret} {image} {launch} --nope",
    "docker run https://me:{secret}@registry.example.com/sglang {launch}",
    "docker run {image} bash -c '{launch} --api-key {secret} --nope'",
    "{launch} \u2014api-key {secret}",
    "{launch} \u2013\u2013api-key {secret}",
    "{launch} -api-key {secret}",
    "{launch} -api-key={secret}",
    "{launch} --apikey {secret}",
    "{launch} --api_key={secret}",
    "{launch} --api_key {secret}",
    "{launch} --API-KEY {secret}",
    "{launch} --api -key {secret}",
    "{launch} --api-key = {secret}",
    "{launch} --api-key: {secret}",
    "{launch} --api-keys {secret}",
    '{launch} --api-key "{secret}',
    "{launch} --api-key '{secret}",
    "{launch} --api-key \u201c{secret}\u201d",
    "{launch} --port --api-key={secret}",
    "{launch} --mem-fraction-static '--api-key={secret}'",
    "{launch} --tp '--api-key {secret}'",
    "{launch} --hf-token {secret}",
    "{launch} --api-key /\n  {secret}",
    "{launch} --api-key \\\\\n  {secret}",
    "> {launch} \\\n>   --api-key {secret}",
    "API_KEY = {secret}\n{launch} --api-key $API_KEY",
    "CMD=$(cat <<E\n{launch} --api-key {secret} --nope\nE\n)\neval $CMD",
    "{launch} --api-key \u201cmy {secret}\u201d",
    '{{"command": ["{launch}"], "environment": [{{"value": "{secret}", "name": "API_TOKEN"}},]}}',
    "{launch} --hf_token={secret}",
    "{launch} --token {secret}",
    "{launch} --password {secret} --nope",
    "{launch} --admin-api-key {secret} --nope",
    "{launch} --ssl-keyfile-pasword={secret} --ssl-keyfile-password={secret}",
    "export HF_TOKEN {secret}\n{launch} --nope",
    "export HF_TOKEN = {secret}\n{launch} --nope",
    "HF_TOKEN = {secret}\n{launch} --nope",
    "HF_TOKEN= {secret} {launch} --nope",
    "HF_TOKEN: {secret}\n{launch} --nope",
    "set -x HF_TOKEN {secret}\n{launch} --nope",
    '$env:HF_TOKEN = "{secret}"\n{launch} --nope',
    "OPENAI_API_KEY={secret} {launch} --nope",
    "AWS_SECRET_ACCESS_KEY={secret} {launch} --nope",
    "{launch} --nope; curl -H 'Authorization: Bearer {secret}' http://localhost:8000/v1/models",
    "curl -u me:{secret} http://localhost; {launch} --nope",
    "docker login -u me -p {secret}; {launch} --nope",
    "docker login -u me --password {secret}; {launch} --nope",
    "{launch} --chat-template https://me:{secret}@example.com/t.jinja",
    "{launch} --chat-template 'https://example.com/t.jinja?token={secret}'",
    '{launch} --hicache-storage-backend-extra-config \'{{"access_key": "{secret}"}}\'',
    '{launch} --json-model-override-args \'{{"apiKey": "{secret}"}}\'',
    "{launch} --file-storage-path Authorization:{secret}",
    "{launch} --served-model-name 'token={secret}'",
    "{launch} --model-path https://me:{secret}@huggingface.co/a/b",
    "{launch} --revision 'main?token={secret}'",
    "{launch} --api-key {secret} --chat-template {secret}",
    "{launch} --api-key {secret} --served-model-name x-{secret}",
    "{launch} --api-key {secret} --nope-{secret} {secret}",
    "HF_TOKEN={secret} {launch} --tp {secret}",
)

WORDS = st.text(string.ascii_letters + string.digits + "-_.+", min_size=8, max_size=40).filter(
    lambda text: text[0].isalnum() and text[-1].isalnum() and any(map(str.isdigit, text)) and not text.isdigit()
)
TOKENS = st.text(string.ascii_letters + string.digits, min_size=34, max_size=34).map("hf_{}".format)
SECRETS = WORDS | TOKENS | st.just("correct-horse.battery")


def told(findings: Iterable[Finding]) -> str:
    return "".join(map(finding_text, findings))


def output(text: str, file: str = "run.sh") -> str:
    """Everything that an import gives out, and a check of what it wrote."""
    try:
        result = import_script(Script(file=file, text=text), ImportOptions(gpu="H200:8"))
    except ProfileError as error:
        return told(error.findings)
    except GlmdeployError as error:
        return f"{error.message}{error.advice}"
    shown = f"{result.text}{told(result.findings)}{json.dumps(imported_data(result), ensure_ascii=False)}"
    return shown + (told(check(read_text(result.text, "again")).findings) if result.text else "")


@pytest.mark.parametrize("mistake", MISTAKES)
@settings(deadline=None, max_examples=examples(3), suppress_health_check=[HealthCheck.too_slow])
@given(secret=SECRETS)
def test_a_planted_secret_never_comes_out(mistake: str, secret: str) -> None:
    text = mistake.format(secret=secret, launch=LAUNCH, image=IMAGE)
    shown = output(text)
    assert secret not in shown
    assert secret[:8] not in shown, "nor its beginning"


@settings(deadline=None, max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow])
@given(
    mistakes=st.lists(
        st.sampled_from([each for each in MISTAKES if each.startswith("{launch} ")]), min_size=2, max_size=4
    ),
    secret=SECRETS,
)
def test_nor_with_several_mistakes_at_once(mistakes: list[str], secret: str) -> None:
    parts = [each.removeprefix("{launch} ").format(secret=secret, launch=LAUNCH, image=IMAGE) for each in mistakes]
    assert secret not in output(f"{LAUNCH} {' '.join(parts)}")
