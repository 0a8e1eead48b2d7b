"""The option catalogs: what they say, how an option is found in them, and how their files are written."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from glmdeploy.resources import profiles_dir, schemas_dir
from glmdeploy.sglang import catalog, catalog_build, catalog_format, probe
from glmdeploy.sglang.catalog import AmbiguousOption, Option, UnknownOption, UnknownVersion
from glmdeploy.sglang.environment import ProbeError
from glmdeploy.sglang.parser import build_parser

if TYPE_CHECKING:
    from pathlib import Path

WHEELS = {
    "0.5.8": "b7fbd890f6edd87f46c6e3ce72d592316af316f183c9bd999c3cc44b20fa2451",
    "0.5.9": "8a936c4d25fea605f44254e533cff2144c73ceffbc1f8738aba393461bbb64d1",
    "0.5.10": "ac8855a5d57dac8831fee526bca5212f1ae451f378e2ab08b3baecbc4deb4076",
    "0.5.10.post1": "a854a68b11caf6b4b55c241a44378a7cdede7ede325db85c955f131506703bc6",
    "0.5.11": "fe0748beaff218d3e16c9018a5e19f018db06fc3c7ac4f90d2f93da1cf074b6f",
    "0.5.12.post1": "94b3f3cc6b97f1364f247b8d9c1d106ec63cf22c55d6b65bc40ff29b0206ef5f",
    "0.5.13.post1": "1c1653ecf2893c7d7b1cf0c3e1cc9b7550ebad95c809de2f44bcc91b7a1e1fe3",
    "0.5.14": "4fe16056b45c8aca00f5f90ceb174dc3a62a3f5dccf159c791370795cd00fc99",
    "0.5.15.post1": "8e182e1c449197cb6f98716a7cf432a3ea7af78c172f9b840ab28ad9e6cda9b4",
    "0.5.16": "d5f345a18953dd35df568ac56bdcb7f5ee910ab39efea4469b714556d1070713",
    "0.5.17": "575e38f5683624ded3b4bb267f637a098e5ed37d13a1d1ff5ea09bd781a04d16",
    "0.5.18": "e97b585dd2d5db2802599feba47c84cce972f5e1231a6816fef996200207b5cf",
    "0.5.19": "425e87377e725d03db8262382008f3fd9561a6cf5d82f485f8b9929f02ffe12b",
    "0.5.20": "1573527042f4f6b4ead838302818595fc77fdc611dbcc2e40cd150fbc8f8513c",
    "0.5.21": "96c029f75dec99baa33a5db3d41b1bebefdd6bcfba3a2f7c807fe1cf49a87c20",
    "0.5.22": "cc9a0f15bd8f877a0584fdb7a1702240177a1f1cc8d17c978715161717b9037b",
    "0.5.23": "00b3cd5b265ac76c64185fbb6b95424f324ddd9f428d0306b77bc9db9d859937",
}
"""The published wheels' checksums, recorded apart from the catalogs."""

ALL = tuple(WHEELS)
ACTIONS_OF_PARSER = {  # what ``ServerArgs.add_cli_args`` registers, ``--help`` included
    "0.5.8": 329, "0.5.9": 332, "0.5.10": 355, "0.5.10.post1": 355, "0.5.11": 375, "0.5.12.post1": 388,
    "0.5.13.post1": 407, "0.5.14": 421, "0.5.15.post1": 438, "0.5.16": 461, "0.5.17": 475, "0.5.18": 489,
    "0.5.19": 504, "0.5.20": 495, "0.5.21": 513, "0.5.22": 522, "0.5.23": 532,
}  # fmt: skip

every_release = pytest.mark.parametrize("version", ALL)


def releases(since: str = "0.5.8", until: str = "0.5.23") -> tuple[str, ...]:
    return ALL[ALL.index(since) : ALL.index(until) + 1]


def flags_of(version: str) -> set[str]:
    return {flag for option in catalog.load(version).options for flag in option.flags}


# --- the whole of it ---------------------------------------------------------------------------------------


def test_versions_are_all_that_were_catalogued_in_their_real_order() -> None:
    assert catalog.versions() == ALL
    assert sorted(ALL, key=Version) == list(ALL)


@every_release
def test_a_catalog_was_made_from_the_published_wheel(version: str) -> None:
    release = catalog.load(version)
    assert release.version == version
    assert release.wheel_sha256 == WHEELS[version]
    assert release.wheel.startswith(f"sglang-{version}-")
    assert len(release.options) == ACTIONS_OF_PARSER[version]


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


@pytest.mark.parametrize("name", [*ALL, "help"])
def test_a_file_is_exactly_as_the_generator_writes_it(name: str) -> None:
    text = (schemas_dir() / "sglang" / f"{name}.json").read_text("utf-8")
    assert catalog_format.dump(json.loads(text)) == text


def test_the_data_folders_exist() -> None:
    assert (schemas_dir() / "sglang").is_dir()
    assert any(profiles_dir().glob("*.yaml"))


# --- facts, read from the real parsers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "since", "until"),
    [
        *((f"--{name}", "0.5.8", "0.5.23") for name in (
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
        ("--dsa-prefill-backend", "0.5.13.post1", "0.5.23"),
        ("--dsa-decode-backend", "0.5.13.post1", "0.5.23"),
        ("--flashinfer-allreduce-fusion-backend", "0.5.14", "0.5.23"),
        ("--enforce-disable-flashinfer-allreduce-fusion", "0.5.10", "0.5.23"),
        ("--attn-dp-size", "0.5.22", "0.5.23"),
        ("--cuda-graph-max-bs", "0.5.8", "0.5.19"),
        ("--cuda-graph-max-bs-decode", "0.5.14", "0.5.23"),
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
        ("attention-backend", "nsa", "0.5.8", "0.5.23"),
        ("attention-backend", "dsa", "0.5.13.post1", "0.5.23"),
        ("nsa-prefill-backend", "trtllm", "0.5.9", "0.5.19"),
        ("nsa-decode-backend", "trtllm", "0.5.9", "0.5.19"),
        ("dsa-prefill-backend", "trtllm", "0.5.13.post1", "0.5.23"),
        ("dsa-decode-backend", "trtllm", "0.5.13.post1", "0.5.23"),
        ("moe-runner-backend", "flashinfer_trtllm", "0.5.8", "0.5.23"),
        ("moe-runner-backend", "flashinfer_trtllm_routed", "0.5.10", "0.5.23"),
        ("flashinfer-allreduce-fusion-backend", "auto", "0.5.14", "0.5.23"),
        ("flashinfer-allreduce-fusion-backend", "cutedsl", "0.5.21", "0.5.23"),
        ("speculative-algorithm", "EAGLE", "0.5.8", "0.5.11"),
        ("speculative-algorithm", "DFLASH", "0.5.11", "0.5.11"),
        ("reasoning-parser", "glm45", "0.5.8", "0.5.23"),
        ("reasoning-parser", "auto", "0.5.12.post1", "0.5.23"),
        ("tool-call-parser", "glm47", "0.5.8", "0.5.23"),
        ("tool-call-parser", "auto", "0.5.12.post1", "0.5.23"),
        ("kv-cache-dtype", "bfloat16", "0.5.8", "0.5.23"),
        ("kv-cache-dtype", "bf16", "0.5.8", "0.5.23"),
        ("kv-cache-dtype", "fp8_e4m3", "0.5.8", "0.5.23"),
        ("kv-cache-dtype", "fp8_e5m2", "0.5.8", "0.5.23"),
        ("kv-cache-dtype", "fp4_e2m1", "0.5.8", "0.5.20"),
        ("kv-cache-dtype", "nvfp4", "0.5.16", "0.5.23"),
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
        ("enable-dp-attention", "0.5.22", "0.5.23", None),
        ("enable-flashinfer-allreduce-fusion", "0.5.14", "0.5.23", None),
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
        ("SGLANG_ENABLE_JIT_DEEPGEMM", "0.5.8", "0.5.23"),
        ("SGLANG_DG_CACHE_DIR", "0.5.8", "0.5.23"),
        ("SGLANG_JIT_DEEPGEMM_FAST_WARMUP", "0.5.9", "0.5.23"),
        ("SGLANG_JIT_DEEPGEMM_PRECOMPILE", "0.5.8", "0.5.23"),
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


RECORDERS = {version: _Recorder(catalog.load(version)) for version in ("0.5.8", "0.5.11", "0.5.16", "0.5.23")}


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
@example(("0.5.23", "cuda-graph-max-bs"))
@example(("0.5.11", "mem_fraction_static"))
@example(("0.5.11", "tensor-parallel-"))
@settings(deadline=None, max_examples=150)
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
        ("0.5.24", "0.5.23"),
        ("1.0.0", "0.5.23"),
        ("0.4.0", "0.5.8"),
        ("0.5.11rc1", "0.5.10.post1"),
        ("latest", "0.5.23"),
        ("../0.5.11", "0.5.23"),
        ("", "0.5.23"),
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


# --- writing a catalog -------------------------------------------------------------------------------------

NATIVE = {"store", "store_true", "boolean_optional"}


@pytest.mark.parametrize("version", ["0.5.8", "0.5.23"])
def test_a_catalog_survives_the_way_through_argparse_and_a_file(version: str, tmp_path: Path) -> None:
    """Catalog to parser, parser to probe, probe to file, file to catalog: nothing is lost."""
    release = catalog.load(version)
    kept = [
        option
        for option in release.options
        if option.action in NATIVE and option.type not in ("json_strict", "cuda_graph_config_checked")
    ]
    parser = build_parser(release)
    described = {action.option_strings[0]: probe.describe(action) for action in parser._actions}
    raw = {
        "options": [described[option.flags[0]] for option in kept],
        "fields": [option.dest for option in release.options],
        "env": [],
        "placeholders": [],
        "transformers": "5.0.0",
    }
    path = tmp_path / "catalog.json"
    content = catalog_format.document(raw, version=version, wheel="w", wheel_sha256="0")
    path.write_text(catalog_format.dump(content), encoding="utf-8")

    def comparable(option: Option) -> Option:
        # A text that only help tells, and the parser has none.
        return catalog.Option(**{**_fields(option), "deprecated": None})

    assert [comparable(option) for option in catalog.read(path).options] == [comparable(option) for option in kept]


def _fields(option: Option) -> dict[str, Any]:
    return {name: getattr(option, name) for name in Option.__dataclass_fields__}


@given(st.dictionaries(st.sampled_from(ALL), st.dictionaries(st.sampled_from("ab"), st.sampled_from("xyz"))))
def test_the_pool_gives_every_release_its_own_wording(wordings: dict[str, dict[str, str | None]]) -> None:
    pool = catalog_format.pool_help(wordings)
    for version, texts in wordings.items():
        for flag, text in texts.items():
            assert catalog.help_text(pool, flag, version) == text


def test_the_shipped_pool_is_what_pooling_the_releases_gives() -> None:
    wordings = {version: {option.flags[0]: option.help for option in catalog.load(version).options} for version in ALL}
    assert catalog_format.pool_help(wordings) == catalog.help_pool(schemas_dir() / "sglang")


def test_help_is_that_of_the_release() -> None:
    old, new = (catalog.load(version).find("speculative-algorithm").help for version in ("0.5.8", "0.5.23"))
    assert old
    assert new
    assert old != new


@pytest.mark.parametrize(("fields", "dest"), [(["tp_size"], "tp_size"), (["other"], "tensor_parallel_size")])
def test_an_option_is_known_by_its_field_of_server_args(fields: list[str], dest: str, tmp_path: Path) -> None:
    """``from_cli_args`` copied ``args.tensor_parallel_size`` to ``tp_size`` before argparse did."""
    action = argparse.ArgumentParser().add_argument("--tensor-parallel-size", "--tp-size", type=int)
    raw = {
        "options": [probe.describe(action)],
        "fields": fields,
        "env": [],
        "placeholders": [],
        "transformers": "5",
    }
    path = tmp_path / "catalog.json"
    content = catalog_format.document(raw, version="1.0", wheel="w", wheel_sha256="0")
    path.write_text(catalog_format.dump(content), encoding="utf-8")
    assert catalog.read(path).find("tensor").dest == dest


@pytest.mark.parametrize(
    "change",
    [{"action": "_CountAction"}, {"type": "parse_something_new"}],
)
def test_a_shape_that_nobody_has_read_is_refused(change: dict[str, str]) -> None:
    raw = probe.describe(argparse.ArgumentParser().add_argument("--new", type=int)) | change
    content = {"options": [raw], "fields": [], "env": [], "placeholders": [], "transformers": "5.0.0"}
    with pytest.raises(catalog_format.UnknownShape, match=next(iter(change.values()))):
        catalog_format.document(content, version="1.0.0", wheel="w", wheel_sha256="0")


def test_another_wheel_than_the_recorded_one_is_refused(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "sglang-0.5.11-py3-none-any.whl").write_bytes(b"another wheel")
    path = schemas_dir() / "sglang" / "0.5.11.json"
    before = path.read_bytes()
    with pytest.raises(catalog_build.CatalogBuildError, match="not the one") as caught:
        catalog_build.build("0.5.11", cache=tmp_path, python=tmp_path / "never-run")
    assert WHEELS["0.5.11"] in (caught.value.advice or "")
    assert path.read_bytes() == before


def test_nothing_is_written_when_the_wheel_cannot_be_had(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ProbeError, match="no-such-python"):
        catalog_build.build("0.5.11", out=out, cache=tmp_path, python=tmp_path / "no-such-python")
    assert not out.exists()


PLACEHOLDER_SCRIPT = """
import importlib.util, runpy, sys
probe = runpy.run_path(sys.argv[1], run_name="probe")
absent = probe["AbsentPackages"](frozenset({"no_such_gpu", "json"}))
absent.install()

import no_such_gpu.language as tl
from no_such_gpu.runtime.jit import compile as jit
import json

@jit
def kernel(x: tl.constexpr | None) -> "tl.tensor":
    return x

class Derived(tl.Base):
    pass

assert kernel(3) == 3
assert Derived.__mro__ == (Derived, object)
assert json.loads("[1]") == [1], "a package that is there is not replaced"
assert importlib.util.find_spec("no_such_gpu") is None, "SGLang must still see that it is absent"
try:
    tl.runtime.driver.active
except AttributeError:
    pass
else:
    raise AssertionError("there is no GPU driver")
assert absent.used == {"no_such_gpu"}
"""


def test_placeholders_stand_in_for_absent_packages_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLACEHOLDER_SCRIPT, str(probe.__file__)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
