"""The option catalogs: what they say, how an option is found in them, and how their files are written."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.version import Version
from sglang_record import FOLDER
from support import examples

from glmdeploy.resources import profiles_dir, schemas_dir
from glmdeploy.sglang import catalog
from glmdeploy.sglang.catalog import AmbiguousOption, Option, UnknownOption, UnknownVersion

ALL = catalog.versions()
NEWEST = ALL[-1]

every_release = pytest.mark.parametrize("version", ALL)


def releases(since: str = ALL[0], until: str = NEWEST) -> tuple[str, ...]:
    return ALL[ALL.index(since) : ALL.index(until) + 1]


def flags_of(version: str) -> set[str]:
    return {flag for option in catalog.load(version).options for flag in option.flags}


# --- the whole of it ---------------------------------------------------------------------------------------


def test_versions_are_all_that_the_real_one_was_asked_of_in_their_real_order() -> None:
    assert list(ALL) == sorted((path.stem for path in FOLDER.glob("*.json")), key=Version)


@every_release
def test_a_catalog_was_made_from_the_published_wheel(version: str) -> None:
    release = catalog.load(version)
    assert release.version == version
    recorded = json.loads((FOLDER / f"{version}.json").read_text("utf-8"))
    assert release.wheel_sha256 == recorded["wheel_sha256"]
    assert release.wheel.startswith(f"sglang-{version}-")


@every_release
def test_every_option_is_complete_and_found_by_each_of_its_spellings(version: str) -> None:
    release = catalog.load(version)
    for option in release.options:
        assert option.canonical in option.flags
        assert option.action in catalog.USUAL
        assert (option.type is None) == (not option.takes_value)
        for flag in option.flags:
            assert release.find(flag) is option
        assert release.find(option.canonical.removeprefix("--")) is option
        if option.help is not None:
            assert option.help.strip()
            assert "%(" not in option.help
    assert len({flag for option in release.options for flag in option.flags}) == sum(
        len(option.flags) for option in release.options
    )


@every_release
def test_nothing_of_the_machine_that_built_it_is_in_a_catalog(version: str) -> None:
    text = (schemas_dir() / "sglang" / f"{version}.json").read_text("utf-8")
    assert not re.search(r"/root\b|/home/|glmdeploy-catalog-|object at 0x", text)


def test_the_data_folders_exist() -> None:
    assert (schemas_dir() / "sglang").is_dir()
    assert any(profiles_dir().glob("*.yaml"))


# --- facts, read from the real parsers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "since", "until"),
    [
        *((f"--{name}", "0.5.8", NEWEST) for name in (
            "model-path", "served-model-name", "trust-remote-code", "watchdog-timeout", "mem-fraction-static",
            "max-running-requests", "enable-metrics", "api-key", "admin-api-key", "host", "port", "revision",
            "chunked-prefill-size", "disable-overlap-schedule", "tp-size", "tensor-parallel-size", "dp-size",
            "data-parallel-size", "ep", "ep-size", "expert-parallel-size", "max-prefill-tokens",
            "max-total-tokens", "context-length", "moe-runner-backend", "enable-flashinfer-allreduce-fusion",
            "fp8-gemm-backend", "enable-dp-attention", "attention-backend", "reasoning-parser",
            "tool-call-parser", "kv-cache-dtype", "speculative-algorithm", "speculative-num-steps",
            "speculative-eagle-topk", "speculative-num-draft-tokens",
        )),
        ("--nsa-prefill-backend", "0.5.8", "0.5.19"),
        ("--nsa-decode-backend", "0.5.8", "0.5.19"),
        ("--dsa-prefill-backend", "0.5.13.post1", NEWEST),
        ("--dsa-decode-backend", "0.5.13.post1", NEWEST),
        ("--flashinfer-allreduce-fusion-backend", "0.5.14", NEWEST),
        ("--enforce-disable-flashinfer-allreduce-fusion", "0.5.10", NEWEST),
        ("--attn-dp-size", "0.5.22", NEWEST),
        ("--cuda-graph-max-bs", "0.5.8", "0.5.19"),
        ("--cuda-graph-max-bs-decode", "0.5.14", NEWEST),
    ],
)  # fmt: skip
def test_where_an_option_exists(flag: str, since: str, until: str) -> None:
    assert tuple(version for version in ALL if flag in flags_of(version)) == releases(since, until)


@every_release
def test_tp_and_dp_are_no_options_but_abbreviate_one(version: str) -> None:
    release = catalog.load(version)
    assert {"--tp", "--dp"}.isdisjoint(flags_of(version))
    assert release.find("tp").canonical == "--tp-size"
    assert release.find("dp").canonical == "--dp-size"
    assert release.find("ep").canonical == "--ep-size"
    assert release.find("model").canonical == "--model-path"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tp", {"dest": "tp_size", "type": "int", "default": 1}),
        ("dp", {"dest": "dp_size", "type": "int", "default": 1}),
        ("ep", {"dest": "ep_size", "type": "int", "default": 1}),
        ("model-path", {"dest": "model_path", "type": "str", "required": True}),
        ("watchdog-timeout", {"type": "float", "default": 300}),
        ("max-prefill-tokens", {"default": 16384}),
        ("max-total-tokens", {"default": None}),
        ("host", {"type": "str", "default": "127.0.0.1"}),
        ("port", {"type": "int", "default": 30000}),
        ("trust-remote-code", {"action": "store_true", "type": None, "default": False, "nargs": 0}),
        ("mem-fraction-static", {"type": "float", "default": None}),
        ("speculative-num-steps", {"type": "int", "default": None}),
        ("speculative-eagle-topk", {"type": "int", "default": None}),
        ("speculative-num-draft-tokens", {"type": "int", "default": None}),
        ("kv-cache-dtype", {"default": "auto"}),
        ("moe-runner-backend", {"default": "auto"}),
    ],
)
@every_release
def test_what_an_option_is_in_every_release(version: str, name: str, expected: dict[str, Any]) -> None:
    option = catalog.load(version).find(name)
    assert {key: getattr(option, key) for key in expected} == expected


@every_release
@pytest.mark.parametrize("name", ["max-prefill-tokens", "max-total-tokens", "context-length"])
def test_human_readable_numbers_came_with_0_5_10(version: str, name: str) -> None:
    expected = "human_readable_int" if version in releases("0.5.10") else "int"
    assert catalog.load(version).find(name).type == expected


@pytest.mark.parametrize(
    ("name", "choice", "since", "until"),
    [
        ("attention-backend", "nsa", "0.5.8", NEWEST),
        ("attention-backend", "dsa", "0.5.13.post1", NEWEST),
        ("nsa-prefill-backend", "trtllm", "0.5.9", "0.5.19"),
        ("nsa-decode-backend", "trtllm", "0.5.9", "0.5.19"),
        ("dsa-prefill-backend", "trtllm", "0.5.13.post1", NEWEST),
        ("dsa-decode-backend", "trtllm", "0.5.13.post1", NEWEST),
        ("moe-runner-backend", "flashinfer_trtllm", "0.5.8", NEWEST),
        ("moe-runner-backend", "flashinfer_trtllm_routed", "0.5.10", NEWEST),
        ("flashinfer-allreduce-fusion-backend", "auto", "0.5.14", NEWEST),
        ("flashinfer-allreduce-fusion-backend", "cutedsl", "0.5.21", NEWEST),
        ("speculative-algorithm", "EAGLE", "0.5.8", "0.5.11"),
        ("speculative-algorithm", "DFLASH", "0.5.11", "0.5.11"),
        ("reasoning-parser", "glm45", "0.5.8", NEWEST),
        ("reasoning-parser", "auto", "0.5.12.post1", NEWEST),
        ("tool-call-parser", "glm47", "0.5.8", NEWEST),
        ("tool-call-parser", "auto", "0.5.12.post1", NEWEST),
        ("kv-cache-dtype", "bfloat16", "0.5.8", NEWEST),
        ("kv-cache-dtype", "bf16", "0.5.8", NEWEST),
        ("kv-cache-dtype", "fp8_e4m3", "0.5.8", NEWEST),
        ("kv-cache-dtype", "fp8_e5m2", "0.5.8", NEWEST),
        ("kv-cache-dtype", "fp4_e2m1", "0.5.8", "0.5.20"),
        ("kv-cache-dtype", "nvfp4", "0.5.16", NEWEST),
    ],
)
def test_where_a_choice_exists(name: str, choice: str, since: str, until: str) -> None:
    having = []
    for version in ALL:
        if f"--{name}" in flags_of(version) and choice in (catalog.load(version).find(name).choices or ()):
            having.append(version)
    assert tuple(having) == releases(since, until)


@pytest.mark.parametrize("version", releases("0.5.12.post1"))
def test_the_speculative_algorithm_is_free_text_since_0_5_12(version: str) -> None:
    assert catalog.load(version).find("speculative-algorithm").choices is None


@pytest.mark.parametrize(
    ("name", "since", "until", "replacement"),
    [
        ("nsa-prefill-backend", "0.5.13.post1", "0.5.19", "--dsa-prefill-backend"),
        ("nsa-decode-backend", "0.5.13.post1", "0.5.19", "--dsa-decode-backend"),
        ("cuda-graph-max-bs", "0.5.14", "0.5.19", "--cuda-graph-max-bs-decode"),
        ("enable-dp-attention", "0.5.22", NEWEST, None),
        ("enable-flashinfer-allreduce-fusion", "0.5.14", NEWEST, None),
        ("stream-output", "0.5.10", "0.5.19", "--incremental-streaming-output"),
    ],
)
def test_where_an_option_is_deprecated(name: str, since: str, until: str, replacement: str | None) -> None:
    deprecated = []
    for version in ALL:
        option = catalog.load(version).find(name) if f"--{name}" in flags_of(version) else None
        if option and option.deprecated:
            deprecated.append(version)
            if replacement:
                assert option.replacement == replacement
                assert option.dest == catalog.load(version).find(replacement).dest
    assert tuple(deprecated) == releases(since, until)


def test_an_old_spelling_leaves_the_default_of_the_new_one_alone() -> None:
    release = catalog.load("0.5.16")
    assert release.find("nsa-prefill-backend").default == argparse.SUPPRESS
    defaults = release.defaults()
    assert defaults["dsa_prefill_backend"] is None
    assert defaults["kv_cache_dtype"] == "auto"
    assert argparse.SUPPRESS not in defaults.values()


@pytest.mark.parametrize(
    ("name", "since", "until"),
    [
        ("SGLANG_ENABLE_SPEC_V2", "0.5.8", "0.5.13.post1"),
        ("SGLANG_ENABLE_JIT_DEEPGEMM", "0.5.8", NEWEST),
        ("SGLANG_DG_CACHE_DIR", "0.5.8", NEWEST),
        ("SGLANG_JIT_DEEPGEMM_FAST_WARMUP", "0.5.9", NEWEST),
        ("SGLANG_JIT_DEEPGEMM_PRECOMPILE", "0.5.8", NEWEST),
        ("SGLANG_JIT_DEEPGEMM_COMPILE_WORKERS", "0.5.8", "0.5.22"),
    ],
)
def test_where_an_environment_variable_exists(name: str, since: str, until: str) -> None:
    having = tuple(version for version in ALL if name in catalog.load(version).env)
    assert having == releases(since, until)


@every_release
def test_defaults_of_environment_variables(version: str) -> None:
    env = catalog.load(version).env
    if version in releases(until="0.5.13.post1"):
        assert env["SGLANG_ENABLE_SPEC_V2"].default is (version in releases("0.5.11"))
    assert env["SGLANG_ENABLE_JIT_DEEPGEMM"].default is True
    assert env["SGLANG_JIT_DEEPGEMM_PRECOMPILE"].default is True
    cache = env["SGLANG_DG_CACHE_DIR"]
    if version in releases("0.5.18"):
        assert (cache.default, cache.computed) == ("~/.cache/sglang/deep_gemm", True)
    else:
        assert (cache.default, cache.computed) == ("~/.cache/deep_gemm", False)


# --- finding an option -------------------------------------------------------------------------------------


class _Refused(Exception):
    pass


class _Recorder(argparse.ArgumentParser):
    """argparse with the spellings of a release, each option of which only tells that it was meant."""

    def __init__(self, release: catalog.Catalog) -> None:
        super().__init__(add_help=False)
        for number, option in enumerate(release.options):
            self.add_argument(*option.flags, dest=str(number), action="store_true")

    def error(self, message: str) -> NoReturn:
        raise _Refused(message)

    def meant(self, flag: str) -> int | str:
        """The number of the option, or ``unknown``, or ``ambiguous``."""
        try:
            namespace, rest = self.parse_known_args([flag])
        except _Refused as refusal:
            assert str(refusal).startswith("ambiguous option")
            return "ambiguous"
        return "unknown" if rest else next(int(key) for key, value in vars(namespace).items() if value)


RECORDERS = {version: _Recorder(catalog.load(version)) for version in ("0.5.8", "0.5.11", "0.5.16", NEWEST)}


@st.composite
def names(draw: st.DrawFn) -> tuple[str, str]:
    """A release, and an abbreviation of one of its spellings or a text that looks like one."""
    version = draw(st.sampled_from(sorted(RECORDERS)))
    flag = draw(st.sampled_from(sorted(flags_of(version)))).removeprefix("--")
    cut = draw(st.integers(min_value=1, max_value=len(flag)))
    mangled = st.text("abcdeimnoprst-_0", min_size=1, max_size=8)
    return version, draw(st.one_of(st.just(flag[:cut]), mangled, mangled.map(lambda text: flag[:cut] + text)))


@given(names())
@example(("0.5.11", "tp"))
@example((NEWEST, "cuda-graph-max-bs"))
@example(("0.5.11", "mem_fraction_static"))
@example(("0.5.11", "tensor-parallel-"))
@settings(deadline=None, max_examples=examples(150))
def test_a_name_means_what_argparse_takes_it_for(case: tuple[str, str]) -> None:
    version, name = case
    release = catalog.load(version)
    expected = RECORDERS[version].meant(f"--{name}")
    try:
        found: int | str = release.options.index(release.find(f"--{name}"))
    except UnknownOption:
        found = "unknown"
    except AmbiguousOption as error:
        found = "ambiguous"
        assert all(flag.startswith(f"--{name}") for flag in error.candidates)
        assert set(error.candidates) == {flag for flag in flags_of(version) if flag.startswith(f"--{name}")}
    assert found == expected


def test_two_spellings_of_one_option_are_ambiguous_too() -> None:
    option = Option(release="1.0", flags=("--alpha-one", "--alpha-two"), dest="alpha_one")
    release = catalog.Catalog(version="1.0", wheel="", wheel_sha256="", options=(option,), env={})
    assert _Recorder(release).meant("--alpha") == "ambiguous"
    with pytest.raises(AmbiguousOption):
        release.find("alpha")


@pytest.mark.parametrize("name", ["", "-", "--", "-m", "---tp", "tp=8", "--tp-size=8", "tp_size", "Tp", " tp"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UnknownOption) as caught:
        catalog.load("0.5.11").find(name)
    assert caught.value.name == name


def test_an_unknown_option_comes_with_similar_ones() -> None:
    with pytest.raises(UnknownOption, match=r"SGLang 0\.5\.11 has no option --mem_fraction_static") as caught:
        catalog.load("0.5.11").find("mem_fraction_static")
    assert caught.value.candidates[0] == "--mem-fraction-static"


def test_a_removed_option_can_become_ambiguous() -> None:
    """``--cuda-graph-max-bs`` is gone in 0.5.20, and is an abbreviation of two that came."""
    with pytest.raises(AmbiguousOption) as caught:
        catalog.load("0.5.20").find("cuda-graph-max-bs")
    assert caught.value.candidates == ("--cuda-graph-max-bs-decode", "--cuda-graph-max-bs-prefill")


@pytest.mark.parametrize(
    ("version", "nearest"),
    [
        ("0.5.12", "0.5.11"),
        (f"{NEWEST}.post9", NEWEST),
        ("1.0.0", NEWEST),
        ("0.4.0", "0.5.8"),
        ("0.5.11rc1", "0.5.10.post1"),
        ("latest", NEWEST),
        ("../0.5.11", NEWEST),
        ("", NEWEST),
    ],
)
def test_an_unknown_version_comes_with_the_nearest(version: str, nearest: str) -> None:
    with pytest.raises(UnknownVersion) as caught:
        catalog.load(version)
    assert (caught.value.version, caught.value.nearest, caught.value.known) == (version, nearest, ALL)


release_numbers = st.lists(st.sampled_from(["0", "1", "9", "10"]), min_size=2, max_size=2).map(".".join)
suffixes = st.sampled_from(["", "rc1", "rc2", ".post1", ".post2", ".dev1"])


@given(st.lists(st.builds(str.__add__, release_numbers, suffixes), max_size=8))
def test_versions_are_ordered_as_packages_are(some: list[str]) -> None:
    assert sorted(some, key=catalog.version_key) == sorted(some, key=Version)
