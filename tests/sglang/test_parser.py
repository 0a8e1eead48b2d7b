"""The parser that is built from a catalog: it must accept and refuse what the release does."""

from __future__ import annotations

import argparse
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.parser import build_parser, human_readable_int, json_strict, nullable_str

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = catalog.versions()
PARSERS = {version: build_parser(catalog.load(version)) for version in ALL}

SEED = (
    "--model-path /model-cache/GLM-5.1-FP8 --served-model-name glm-5.1 --tp 8 --trust-remote-code --ep 1"
    " --watchdog-timeout 1200 --attention-backend nsa --nsa-decode-backend trtllm --nsa-prefill-backend trtllm"
    " --moe-runner-backend flashinfer_trtllm --enable-flashinfer-allreduce-fusion --speculative-algorithm EAGLE"
    " --speculative-num-steps 3 --speculative-eagle-topk 1 --speculative-num-draft-tokens 4"
    " --reasoning-parser glm45 --tool-call-parser glm47 --mem-fraction-static 0.88 --max-running-requests 48"
    " --max-prefill-tokens 32768 --max-total-tokens 65536 --enable-metrics --api-key key"
)


def parse(version: str, *words: str) -> argparse.Namespace:
    return PARSERS[version].parse_args(["--model-path", "m", *words])


def refusal(capsys: pytest.CaptureFixture[str], version: str, words: Sequence[str]) -> str:
    """The message of a usage error; fails where the words are accepted."""
    with pytest.raises(SystemExit) as caught:
        PARSERS[version].parse_args(list(words))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: sglang ")
    return err.rpartition("sglang: error: ")[2].strip()


def accepts(version: str, command: str) -> bool:
    try:
        PARSERS[version].parse_args(command.split())
    except SystemExit:
        return False
    return True


def test_the_seed_command_parses_on_0_5_9_to_0_5_19_only() -> None:
    old = {version for version in ALL if accepts(version, SEED)}
    new = {version for version in ALL if accepts(version, SEED.replace("--nsa-", "--dsa-"))}
    assert old == set(ALL[ALL.index("0.5.9") : ALL.index("0.5.19") + 1])
    assert new == set(ALL[ALL.index("0.5.13.post1") :])


def test_the_seed_command_means_what_it_says() -> None:
    args = PARSERS["0.5.11"].parse_args(SEED.split())
    assert (args.tp_size, args.ep_size, args.watchdog_timeout, args.mem_fraction_static) == (
        8,
        1,
        1200.0,
        0.88,
    )
    assert (args.max_total_tokens, args.trust_remote_code, args.enable_metrics) == (65536, True, True)
    assert (args.dp_size, args.port, args.kv_cache_dtype, args.disable_radix_cache) == (
        1,
        30000,
        "auto",
        False,
    )


@pytest.mark.parametrize("version", ALL)
def test_what_every_release_refuses(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model-path", "m"]
    assert "required: --model-path/--model" in refusal(capsys, version, [])
    assert refusal(capsys, version, [*model, "--no-such-option"]) == "unrecognized arguments: --no-such-option"
    assert "--mem_fraction_static" in refusal(capsys, version, [*model, "--mem_fraction_static", "0.8"])
    assert "invalid int value: 'eight'" in refusal(capsys, version, [*model, "--tp", "eight"])
    assert "invalid float value: 'much'" in refusal(capsys, version, [*model, "--mem-fraction-static", "much"])
    assert "invalid choice: 'fp8'" in refusal(capsys, version, [*model, "--kv-cache-dtype", "fp8"])
    assert "expected one argument" in refusal(capsys, version, [*model, "--port"])
    assert "ignored explicit argument" in refusal(capsys, version, [*model, "--trust-remote-code=yes"])
    assert "ambiguous option: --spec" in refusal(capsys, version, [*model, "--spec", "EAGLE"])
    assert "unrecognized arguments: stray" in refusal(capsys, version, [*model, "stray"])


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("text", ["64k", "64Ki"])
def test_short_numbers_are_understood_since_0_5_10(version: str, text: str) -> None:
    since = ALL.index(version) >= ALL.index("0.5.10")
    assert accepts(version, f"--model m --max-total-tokens {text}") is since
    assert not accepts(version, "--model m --max-total-tokens 64K")
    # The other integers never took a suffix.
    assert not accepts(version, f"--model m --chunked-prefill-size {text}")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1k", 1000),
        ("25.6k", 25600),
        ("0.0005k", 0),
        ("1Mi", 2**20),
        (" 64Ki ", 65536),
        ("1T", 10**12),
        ("-1", -1),
    ],
)
def test_short_numbers(text: str, number: int) -> None:
    assert human_readable_int(text) == number


@pytest.mark.parametrize("text", ["128K", "1.5Ki", "k", "", "1 k", "1kk", "1.5", "0x10", "1e3", "1ki"])
def test_what_is_no_short_number(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        human_readable_int(text)


@given(st.integers(0, 10**6), st.sampled_from([("k", 1000), ("Ki", 1024), ("G", 10**9), ("Gi", 2**30)]))
def test_a_suffix_multiplies(number: int, suffix: tuple[str, int]) -> None:
    assert human_readable_int(f"{number}{suffix[0]}") == number * suffix[1]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(json_values)
@settings(deadline=None)
def test_json_options_take_any_json(value: Any) -> None:
    text = json.dumps(value)
    args = parse("0.5.11", f"--forward-hooks={text}", f"--preferred-sampling-params={text}")
    assert args.forward_hooks == args.preferred_sampling_params == value


def test_the_two_readers_of_json_differ_in_nan_only() -> None:
    assert str(parse("0.5.11", "--preferred-sampling-params", "[NaN]").preferred_sampling_params) == "[nan]"
    for text in ("[NaN]", "Infinity", "[", "{'a': 1}"):
        with pytest.raises(argparse.ArgumentTypeError):
            json_strict(text)
    assert not accepts("0.5.11", "--model m --preferred-sampling-params {'a':1}")


def test_no_value_and_none_are_null() -> None:
    assert [nullable_str(text) for text in ("", "None", "none", "scales.json")] == [
        None,
        None,
        "none",
        "scales.json",
    ]


def test_a_switch_with_two_directions() -> None:
    assert parse("0.5.11").lora_strict_loading is False
    assert parse("0.5.11", "--lora-strict-loading").lora_strict_loading is True
    assert parse("0.5.11", "--no-lora-strict-loading").lora_strict_loading is False


def test_lists() -> None:
    args = parse("0.5.11", "--bucket-time-to-first-token", "0.1", "2", "--lora-target-modules", "q_proj", "all")
    assert args.bucket_time_to_first_token == [0.1, 2.0]
    assert args.lora_target_modules == ["q_proj", "all"]
    assert parse("0.5.11").uvicorn_access_log_exclude_prefixes == []
    assert parse("0.5.11", "--model-checksum").model_checksum == ""


def test_adapters() -> None:
    adapter = {"lora_name": "a", "lora_path": "/a", "pinned": True}
    assert parse("0.5.11", "--lora-paths", " /b ", "c=/c", json.dumps(adapter)).lora_paths == [
        "/b",
        "c=/c",
        adapter,
    ]
    assert parse("0.5.11", "--lora-paths").lora_paths == []
    with pytest.raises(ValueError, match="must have the keys"):
        parse("0.5.11", "--lora-paths", '{"lora_name": "a"}')


def test_an_old_spelling_warns_and_sets_the_new_option(caplog: pytest.LogCaptureFixture) -> None:
    assert parse("0.5.16").dsa_prefill_backend is None
    with caplog.at_level(logging.WARNING):
        assert parse("0.5.16", "--nsa-prefill-backend", "trtllm").dsa_prefill_backend == "trtllm"
    assert "--nsa-prefill-backend is deprecated. [Deprecated] Use --dsa-prefill-backend instead." in caplog.text


@pytest.mark.parametrize(
    ("version", "words", "dest", "value"),
    [
        ("0.5.16", ["--disable-piecewise-cuda-graph"], "cuda_graph_backend_prefill", "disabled"),
        ("0.5.11", ["--stream-output"], "incremental_streaming_output", True),
        ("0.5.11", ["--collect-tokens-histogram"], "collect_tokens_histogram", None),
        ("0.5.23", ["--monokernel-backend", "amd"], "enable_amd_monokernel", True),
        ("0.5.23", ["--enable-dp-attention"], "enable_dp_attention", True),
    ],
)
def test_deprecated_options(
    version: str, words: list[str], dest: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert getattr(parse(version, *words), dest) == value
    assert f"{words[0]} is deprecated" in caplog.text


def test_a_removed_option_names_its_replacement(capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "0.5.18", ["--model", "m", "--enable-expert-distribution-metrics"])
    assert "Use --expert-balancedness-report-mode" in message


@pytest.mark.parametrize(
    ("config", "until_0_5_21", "since_0_5_22"),
    [
        ({"decode": {"max_bs": 8}, "prefill": {"backend": "disabled"}}, True, True),
        ({}, True, True),
        ({"decode": {"backend": "tc_piecewise"}}, True, False),
        ({"decode": {"tc_compiler": "eager"}}, True, False),
        ({"decode": {"no_such_key": 1}}, False, False),
        ({"training": {}}, False, False),
        ({"decode": 8}, False, False),
        ([], False, False),
    ],
)
def test_the_graph_configuration(config: object, until_0_5_21: bool, since_0_5_22: bool) -> None:
    command = f"--model m --cuda-graph-config {json.dumps(config, separators=(',', ':'))}"
    assert accepts("0.5.14", command) is until_0_5_21
    assert accepts("0.5.23", command) is since_0_5_22


def test_the_program_name_is_the_callers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser(catalog.load("0.5.11"), prog="sglang.launch_server").parse_args([])
    assert "sglang.launch_server: error: " in capsys.readouterr().err


@pytest.mark.parametrize("version", ALL)
def test_a_switch_with_both_names_means_what_its_name_says(version: str) -> None:
    release = catalog.load(version)
    for option in release.options:
        for flag in option.flags if option.action == "boolean_optional" else ():
            for value in (True, False):
                found, problems = command.read({flag.removeprefix("--"): value}, release)
                assert not problems
                setting = found[option.dest]
                positive = value is not flag.startswith("--no-")
                assert setting.value is positive
                assert setting.words[0].startswith("--no-") is not positive
