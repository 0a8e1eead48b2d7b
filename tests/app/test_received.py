"""What the control plane receives, against the tables of the page that the profile follows."""

from __future__ import annotations

import json

import pytest
from deployments import PROFILE, Received, built
from modal_proto import api_pb2

from glmdeploy.plan.make import plan_of
from glmdeploy.profile.text.load import load


@pytest.fixture(scope="module")
def received() -> Received:
    return built()


def test_functions(received: Received) -> None:
    assert set(received.functions()) == {"download_model", "compile_deepgemm", "describe", "Server.*"}


def test_compute_and_scaling(received: Received) -> None:
    server = received.functions()["Server.*"]
    assert (server.resources.gpu_config.gpu_type, server.resources.gpu_config.count) == ("B200", 8)
    assert server.autoscaler_settings.min_containers == 0
    assert server.autoscaler_settings.max_containers == 3
    assert server.autoscaler_settings.scaledown_window == 900
    assert (server.warm_pool_size, server.concurrency_limit, server.task_idle_timeout_secs) == (0, 3, 900)
    assert server.max_concurrent_inputs == 20
    compiler = received.functions()["compile_deepgemm"]
    assert (compiler.resources.gpu_config.gpu_type, compiler.resources.gpu_config.count) == ("B200", 8)
    assert received.functions()["download_model"].resources.gpu_config.count == 0


def test_timeouts_and_port(received: Received) -> None:
    functions = received.functions()
    server = functions["Server.*"]
    assert (server.timeout_secs, server.startup_timeout_secs) == (86_400, 900)
    web = server.method_definitions["serve"].webhook_config
    assert web.type == api_pb2.WEBHOOK_TYPE_WEB_SERVER
    assert (web.web_server_port, web.web_server_startup_timeout) == (8000, 900)
    assert functions["download_model"].timeout_secs == 7200
    assert functions["compile_deepgemm"].timeout_secs == 3600


def test_volumes_and_mounts(received: Received) -> None:
    names = {item.deployment_name: item for item in received.all("VolumeGetOrCreate")}
    assert set(names) == {"glm51-model-weights", "glm51-deepgemm-cache"}
    mounts = {name: {item.mount_path for item in one.volume_mounts} for name, one in received.functions().items()}
    assert mounts == {
        "download_model": {"/model-cache"},
        "compile_deepgemm": {"/model-cache", "/dg-cache"},
        "Server.*": {"/model-cache", "/dg-cache"},
        "describe": set(),
    }


def test_secrets_and_their_keys(received: Received) -> None:
    asked = {item.deployment_name: list(item.required_keys) for item in received.all("SecretGetOrCreate")}
    assert asked == {"huggingface-secret": ["HF_TOKEN"], "glm51-api-key": ["API_KEY"]}
    count = {name: len(one.secret_ids) for name, one in received.functions().items()}
    assert count == {"download_model": 1, "Server.*": 1, "compile_deepgemm": 0, "describe": 0}


def test_image_environment(received: Received) -> None:
    download = {"ENV HF_XET_HIGH_PERFORMANCE=1"}
    server = download | {"ENV SGLANG_ENABLE_SPEC_V2=1", "ENV SGLANG_DG_CACHE_DIR=/dg-cache"}
    assert sorted(received.env().values(), key=len) == [download, server]
    lines = [line for image in received.images() for line in image]
    assert "FROM lmsysorg/sglang:v0.5.11-cu130" in lines
    assert not any("HF_HUB_OFFLINE" in line for line in lines), "of SGLang's process alone"


def test_tags(received: Received) -> None:
    plan = plan_of(load(PROFILE))[0]
    [publish] = received.all("AppPublish")
    assert publish.name == "glm51-fp8"
    assert dict(publish.tags)["glmdeploy-digest"] == plan.digest[:40]
    assert dict(publish.tags)["glmdeploy-profile"] == PROFILE
    assert "glmdeploy-version" in publish.tags


def mounted_plan(received: Received) -> str:
    [content] = {item.data for item in received.all("MountPutFile") if item.data.startswith(b'{"api_key"')}
    return content.decode()


def test_sglang_command(received: Received) -> None:
    """Every flag of the page's second section, as the container will read it from the mounted plan."""
    plan = json.loads(mounted_plan(received))
    words = plan["server"]["command"]
    assert words[:3] == ["python3", "-m", "sglang.launch_server"]
    options = dict(zip([*words[3:], ""], [*words[4:], "", ""], strict=True))
    expected = {
        "--model-path": "/model-cache/GLM-5.1-FP8",
        "--served-model-name": "glm-5.1",
        "--tp-size": "8",
        "--ep-size": "1",
        "--watchdog-timeout": "1200",
        "--attention-backend": "nsa",
        "--nsa-decode-backend": "trtllm",
        "--nsa-prefill-backend": "trtllm",
        "--moe-runner-backend": "flashinfer_trtllm",
        "--speculative-algorithm": "EAGLE",
        "--speculative-num-steps": "3",
        "--speculative-eagle-topk": "1",
        "--speculative-num-draft-tokens": "4",
        "--reasoning-parser": "glm45",
        "--tool-call-parser": "glm47",
        "--mem-fraction-static": "0.88",
        "--max-running-requests": "48",
        "--max-prefill-tokens": "32768",
        "--max-total-tokens": "65536",
        "--kv-cache-dtype": "bfloat16",
        "--host": "0.0.0.0",
        "--port": "8000",
    }
    switches = {"--trust-remote-code", "--enable-flashinfer-allreduce-fusion", "--enable-metrics"}
    assert {name: options[name] for name in expected} == expected
    assert {word for word in words if word.startswith("--")} == expected.keys() | switches
    assert plan["server"]["env"] == {"HF_HUB_OFFLINE": "1"}
    assert "--api-key" not in words


def test_keepalive() -> None:
    received = built("keepalive.enabled=true")
    assert received.functions()["keep_warm"].schedule.cron.cron_string == "*/10 9-18 * * 1-5"
