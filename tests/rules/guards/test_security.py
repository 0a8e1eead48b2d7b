"""Rules about operations and security against the real thing: Modal's SDK, huggingface_hub, our own runtime."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import string
import subprocess
import sys
from datetime import date
from itertools import product
from typing import TYPE_CHECKING

import modal
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal._utils.mount_utils import validate_mount_points
from modal._utils.name_utils import check_object_name, check_tag_dict
from modal.exception import InvalidError

from glmdeploy import app, source
from glmdeploy import plan as plans
from glmdeploy.resolve import resolve
from glmdeploy.rules.guards import hub, idle, names
from glmdeploy.rules.guards.leaks import SECRET_NAME, SECRET_VALUE
from glmdeploy.runtime import hosting
from glmdeploy.sizing import cost

if TYPE_CHECKING:
    from pathlib import Path

    from glmdeploy.findings import Finding
    from glmdeploy.rules.facts import Facts

TODAY = date(2026, 11, 23)


def resolved(*sets: str, profile: str = "b200-eagle-bf16kv") -> tuple[list[Finding], Facts]:
    resolution = resolve(source.load(profile, sets=sets), today=TODAY)
    assert resolution.subject is not None
    return list(resolution.findings), resolution.subject


_, SUBJECT = resolved()

# The whole of what the schema takes for a name, and more often than chance what is one letter off an app's id.
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,63}", fullmatch=True) | st.from_regex(
    r"ap-[A-Za-z0-9_]{21,23}", fullmatch=True
)
MOUNTS = st.from_regex(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,5}){1,3}", fullmatch=True) | st.from_regex(
    r"/(root|tmp)(/?[a-z]{1,3})?", fullmatch=True
)


def refused(function: object, *arguments: object) -> bool:
    try:
        function(*arguments)  # type: ignore[operator]
    except InvalidError:
        return True
    return False


def taken(**changes: object) -> list[str]:
    """The messages of the rule when parts of the flagship's profile are others."""
    profile = SUBJECT.profile.model_copy(update=changes)
    return [violation.message for violation in names.TAKEN.check(dataclasses.replace(SUBJECT, profile=profile))]


@given(NAMES)
def test_modal_refuses_the_names_that_the_rule_refuses(name: str) -> None:
    volumes = SUBJECT.profile.volumes
    weights = volumes.weights.model_copy(update={"name": name})
    assert refused(check_object_name, name, "App") is bool(taken(app=name))
    assert refused(modal.Volume.from_name, name) is bool(taken(volumes=volumes.model_copy(update={"weights": weights})))
    key = SUBJECT.profile.secrets.api_key.model_copy(update={"name": name})  # type: ignore[union-attr]
    secrets = SUBJECT.profile.secrets.model_copy(update={"api_key": key})
    assert refused(check_object_name, name, "Secret") is bool(taken(secrets=secrets))


@given(MOUNTS)
def test_modal_refuses_the_mounts_that_the_rule_refuses(mount: str) -> None:
    volumes = SUBJECT.profile.volumes
    moved = volumes.model_copy(update={"weights": volumes.weights.model_copy(update={"mount": mount})})
    ours = f"{mount}/".startswith(f"{app.REMOTE}/")
    modals = refused(validate_mount_points, "Volume", {mount: modal.Volume.from_name("weights")})
    assert (modals or ours) is bool(taken(volumes=moved))


@given(st.dictionaries(NAMES, NAMES, max_size=3))
def test_modal_takes_every_tag_that_the_schema_takes(tags: dict[str, str]) -> None:
    check_tag_dict(tags)
    assert bool(taken(tags=tags)) is bool(set(tags) & set(plans.app_tags(dataclasses.replace(PLAN, tags={}))))


def planned(*sets: str) -> plans.Plan:
    plan = resolve(source.load("b200-eagle-bf16kv", sets=sets), today=TODAY).plan
    assert plan is not None
    return plan


PLAN = planned()


def test_our_own_places_are_where_the_rule_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.REMOTE == names.OWN_FOLDER
    for name in names.OWN_VARIABLES:
        monkeypatch.setenv(name, "9999")
    assert (hosting.local_root(), hosting.local_port(8000)) == ("9999", 9999)


def test_offline_is_what_huggingface_hub_calls_offline() -> None:
    values = [None, "", "0", "1", "yes", "ON", "True", "2", "off"]
    cases = [
        {name: value for name, value in zip(hub.OFFLINE, pair, strict=True) if value is not None}
        for pair in product(values, values)
    ]
    script = (
        "import json, os, sys, importlib, huggingface_hub.constants as constants\n"
        "def ask(case):\n"
        f"    for name in {hub.OFFLINE}: os.environ.pop(name, None)\n"
        "    os.environ.update(case)\n"
        "    return importlib.reload(constants).HF_HUB_OFFLINE\n"
        "print(json.dumps([ask(case) for case in json.load(sys.stdin)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    assert [hub.offline(case) is not None for case in cases] == json.loads(done.stdout)


def test_the_hubs_files_are_where_the_variables_say(tmp_path: Path) -> None:
    script = "import huggingface_hub.constants as constants; print(constants.HF_HUB_CACHE)"
    for name in hub.CACHE:
        env = {key: value for key, value in os.environ.items() if key not in hub.CACHE}
        env[name] = str(tmp_path / name)
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(env[name])


def messages(rule: str, *sets: str, profile: str = "b200-eagle-bf16kv") -> list[str]:
    return [found.message for found in resolved(*sets, profile=profile)[0] if found.id == rule]


def test_spending_is_told_by_hour_and_day_with_the_prices_date() -> None:
    [message] = messages("GLM076", "server.max_containers=5")
    price = cost.PRICES["B200"]
    most = 5 * 8 * price.dollars
    assert f"cost {most:,.0f} dollars an hour and {24 * most:,.0f} a day (prices of {price.date})" in message
    assert message.endswith(f"above glmdeploy's own ceiling of {idle.CEILING:.0f} an hour")


@given(st.integers(1, 40), st.floats(1, 5000))
def test_the_ceiling_is_not_above_itself(containers: int, ceiling: float) -> None:
    server = SUBJECT.profile.server.model_copy(update={"max_containers": containers, "spend_ceiling": ceiling})
    subject = dataclasses.replace(SUBJECT, profile=SUBJECT.profile.model_copy(update={"server": server}))
    rate = cost.hourly(subject.gpu)
    assert rate is not None
    assert bool(list(idle.SPEND_CEILING.check(subject))) is (containers * rate > ceiling)


def test_the_ceiling_is_no_part_of_the_plan() -> None:
    assert planned("server.spend_ceiling=5000").digest == PLAN.digest


@pytest.mark.parametrize(
    ("image", "moving"),
    [
        ("lmsysorg/sglang:v0.5.11-cu130", False),
        ("lmsysorg/sglang:V0.5.11", False),
        ("lmsysorg/sglang:v0.5.11-dev", True),
        ("lmsysorg/sglang:LATEST", True),
        ("lmsysorg/sglang:latest-runtime", True),
        ("lmsysorg/sglang:nightly-dev-cu13-20260401-0a1b2c3d", False),
        ("registry.example:5000/main/sglang:v1", False),
        ("registry.example:5000/sglang", True),
        ("developer/sglang:devel", False),
        (f"lmsysorg/sglang@sha256:{'0' * 64}", False),
        (f"lmsysorg/sglang:latest@sha256:{'0' * 64}", False),
        (f"lmsysorg/sglang:latest@sha256:{'0' * 63}", True),
    ],
)
def test_moving_tags(image: str, moving: bool) -> None:
    assert bool(messages("GLM070", f"sglang.image={image}")) is moving
    # One image is one finding: it moves, or it can be moved, or neither.
    pinned = bool(re.search("@sha256:0{64}$", image))
    assert len(messages("GLM070", f"sglang.image={image}")) + len(
        [text for text in messages("GLM069", f"sglang.image={image}") if "tag" in text]
    ) == (0 if pinned else 1)


SECRETS = st.text(string.ascii_letters + string.digits, min_size=12, max_size=40)


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
    found, _ = resolved(*sets)
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
    found = {finding.id: finding.location for finding in resolve(source.load(str(file)), today=TODAY).findings}
    line = "sglang: {args: {api-key: ***, tp: 4, ssl-keyfile-password: ***, load-format: dummy}}"
    for rule, value in {"GLM020": "4", "GLM066": "dummy", "GLM063": "***"}.items():
        place = found[rule]
        assert place.text == line
        assert line[place.column - 1 : place.column - 1 + place.length] == value


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
    found, _ = resolved(f"sglang.env.HF_TOKEN={token}", f"sglang.args.api-key={token}")
    assert [finding.id for finding in found if finding.id in (SECRET_VALUE.id, SECRET_NAME.id)] == ["GLM063", "GLM063"]


def test_options_nested_in_json_are_read_too() -> None:
    option = "sglang.args.hicache-storage-backend-extra-config"
    assert messages("GLM079", f"{option}={{endpoint: /tmp/x, accessKey: abcdef}}")
    assert not messages("GLM079", f"{option}={{endpoint: /tmp/x, monkey: abcdef}}")


def test_the_models_own_repository_is_replaced_by_its_folder() -> None:
    found, _ = resolved("sglang.args.tokenizer-path=zai-org/GLM-5.1-FP8")
    [edit] = next(finding.edits for finding in found if finding.id == "GLM072")
    assert edit.value == "/model-cache/GLM-5.1-FP8"  # type: ignore[union-attr]


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


def test_routes_that_stay_open_are_named_by_release() -> None:
    assert messages("GLM061") == ["`/health*` and `/metrics*` answer without the API key"]
    assert messages("GLM061", "sglang.args.enable-metrics=null") == ["`/health*` answers without the API key"]
    newest = messages("GLM061", profile="b200-eagle-bf16kv-0.5.23")
    assert newest == ["`/health*`, `/ready*`, `/metrics*` and the WebSocket `/v1/realtime` answer without the API key"]
