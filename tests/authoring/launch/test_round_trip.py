"""What `glmdeploy command` writes is imported as the same Plan; a random text ends in nothing but our errors."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.imported import import_script, profile_text
from glmdeploy.authoring.launch.launch import Word
from glmdeploy.authoring.launch.options import split, value
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.errors import GlmdeployError
from glmdeploy.findings import Severity
from glmdeploy.plan.make import made, plan_of
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.redaction import find
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog, command
from glmdeploy.sglang.parser import build_parser

if TYPE_CHECKING:
    from glmdeploy.sglang.catalog import Option

VERSIONS = ("0.5.10", "0.5.11", "0.5.16", "0.5.23")
PARSERS = {version: build_parser(catalog.load(version)) for version in VERSIONS}
MODEL = "Qwen/Qwen3-8B"

OF_OTHERS = {"tp_size", "pp_size", "ssl_keyfile_password", *command.RESERVED}
"""Fields with a place of their own in a profile, or none, and those that must fit the GPU count."""

ODD_WORDS = "- -- it's \" $HOME `id` $(id) \\ null true no ~ 1 007 -1 1e5 0x1F .5 1:30 12345678901234567890 é 😀"
SHELL_WORDS = "python3 -m sglang.launch_server sglang serve docker run bash -c env exec export if fi for"
ARGUMENTS = "--model-path a/b --tp 8 --api-key -e A=b A+=b A=( ) ( { } ; && | & > < <<EOF EOF 2>&1 # = - -- * é"
EXPANSIONS = "\\ ' \" $ ${ $A ${A:- ${A[@]} $( ` $' $\" $@ $1 <("
FLAGS = "--tp --tp=8 --tp-size --trust-remote-code --trust --lora-paths --cuda-graph-bs --mem --chat-template"
MORE_FLAGS = "--no-lora-strict-loading --lora-strict-loading --model-checksum --enable-metrics --nope -h"
BAD_FLAGS = "--speculative-n --chat-template=-x --tp= --enable-metrics=1 8 1 -1 -1.5 0.5 x - --"

ODD = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        *ODD_WORDS.split(),
        *("", " ", "-x y", "--tp 8", "a\nb", "a: b", "# x", "- a", "{a: 1}", "\t", "\x85", "\u2028"),
    ]
)
"""Texts that a shell, YAML or argparse could take for something else."""


def values(option: Option) -> st.SearchStrategy[Any]:
    """Values of which most are valid for the option."""
    if not option.takes_value:
        return st.booleans()
    items: st.SearchStrategy[Any]
    if option.choices:
        items = st.sampled_from(option.choices)
    elif option.type == "int":
        items = st.integers(-(10**6), 10**12)
    elif option.type == "human_readable_int":
        items = st.integers(0, 10**6) | st.sampled_from(["64k", "64Ki", "1.5M"])
    elif option.type == "float":
        items = st.floats(allow_nan=False) | st.integers(0, 10)
    elif "json" in (option.type or "") or "cuda_graph" in (option.type or ""):
        items = st.sampled_from(["{}", "[]", '{"b": 1, "a": [null]}', "[1,2]"]) | st.just({"b": 1, "a": "x y"})
    else:
        items = ODD
    return st.lists(items, min_size=1, max_size=3) if option.nargs in ("+", "*") else items


@st.composite
def arguments(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A release and options that it accepts."""
    version = draw(st.sampled_from(VERSIONS))
    release = catalog.load(version)
    usable = [each for each in release.options if each.action not in ("help", "removed") and each.dest not in OF_OTHERS]
    chosen = draw(st.lists(st.sampled_from(usable), max_size=6, unique_by=lambda option: option.dest))
    args = {option.canonical.removeprefix("--"): draw(values(option)) for option in chosen}
    args = {key: item for key, item in args.items() if not (isinstance(item, float) and math.isinf(item))}
    _, problems = command.read(args, release)
    for problem in problems:
        del args[problem.key]
    assume(not any(find(str(item)) for item in args.values()))
    return version, args


def profile(version: str, args: dict[str, Any], *, public: bool, served_name: str, port: int) -> dict[str, Any]:
    """A profile with what an import gives to what no command says."""
    return {
        "schema": 1,
        "name": "n",
        "app": "a",
        "model": {"repo": MODEL, "served_name": served_name},
        "gpu": "H100:1",
        "volumes": {"weights": {"name": "a-weights", "mount": "/models/here"}},
        **({} if public else {"secrets": {"api_key": {"name": "a-api-key", "keys": ["MY_KEY"]}}}),
        "server": {"port": port, **({"public": True} if public else {})},
        "sglang": {"version": version, "image": f"lmsysorg/sglang:v{version}", "args": args},
    }


@settings(
    deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(
    chosen=arguments(),
    public=st.booleans(),
    served_name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=12),
    port=st.integers(1, 65_535),
)
@example(chosen=("0.5.10", {"bucket-time-to-first-token": [float("inf")]}), public=False, served_name="0", port=1)
def test_round_trip(chosen: tuple[str, dict[str, Any]], public: bool, served_name: str, port: int) -> None:
    version, args = chosen
    assume(not find(served_name))
    data = profile(version, args, public=public, served_name=served_name, port=port)
    before = check(read_text(profile_text(data, ()), "before"))
    release = catalog.load(version)
    read, problems = command.read(args, release)
    assert problems == []
    words = command.server_command(
        read, release, model_path="/models/here/Qwen3-8B", served_name=served_name, port=port
    )
    text = command.shell(words, None if public else "MY_KEY")

    wanted = ImportOptions(app="a", name="n", gpu="H100:1", sglang_version=version, repo=MODEL, public=public)
    result = import_script(Script(file="launch", text=text), wanted)
    assert result.data is not None
    assert result.checked is not None
    again, problems = command.read(result.data["sglang"].get("args", {}), release)
    assert problems == []
    assert command.server_command(
        again, release, model_path="/models/here/Qwen3-8B", served_name=result.data["model"]["served_name"], port=port
    ) == (words)
    # A guard rule may object to a random set of options, to both alike.
    first, second = made(before), made(result.checked)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert second.data() == first.data()
        assert second.digest == first.digest


@pytest.mark.parametrize("file", sorted(profiles_dir().glob("*.yaml")), ids=lambda file: file.stem)
def test_round_trip_of_shipped_profiles(file: Any) -> None:
    """The rest of a profile, which no command says, is laid over the import, and the plans are the same."""
    document = load(str(file))
    plan, _ = plan_of(document)
    text = command.shell(plan.server.command, plan.api_key.keys[0] if plan.api_key else None, plan.nodes)
    wanted = ImportOptions(gpu=plan.gpu, sglang_version=plan.sglang, repo=plan.model.repo, public=plan.api_key is None)
    result = import_script(Script(file="launch", text=text), wanted)
    assert result.complete
    assert result.data is not None
    assert result.data["volumes"]["weights"]["mount"] == plan.weights.mount
    data = {**document.data, "model": {**document.data["model"], **result.data["model"]}}
    data["server"] = {**document.data.get("server", {}), **result.data["server"]}
    data["sglang"] = {**document.data["sglang"], "args": result.data["sglang"]["args"]}
    again, _ = plan_of(read_text(json.dumps(data), "again"))
    assert again.digest == plan.digest


PIECES = st.sampled_from(
    [
        *SHELL_WORDS.split(),
        *ARGUMENTS.split(),
        *EXPANSIONS.split(),
        *(" ", " ", " ", "\n", "\t", "\\\n", "\x00", "\r\n", "\x85"),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join)
LAUNCH = "python3 -m sglang.launch_server --model-path a/b --tp 1 "


@settings(deadline=None, max_examples=examples(120))
@given(
    text=TEXTS,
    prefix=st.sampled_from(["", LAUNCH, "docker run -it image " + LAUNCH, f"sh -c '{LAUNCH}"]),
    name=st.sampled_from(["x", "x.yaml"]),
)
def test_any_text_ends_in_our_errors_only(text: str, prefix: str, name: str) -> None:
    with contextlib.suppress(GlmdeployError):
        result = import_script(Script(file=name, text=prefix + text), ImportOptions(sglang_version="0.5.16"))
        if result.text is not None:
            assert read_text(result.text, "again").data == result.data
            assert result.checked is not None
            assert not any(found.id in ("schema", "sglang") for found in result.checked.findings)


WORDS = st.sampled_from(
    [
        *FLAGS.split(),
        *MORE_FLAGS.split(),
        *BAD_FLAGS.split(),
        *("", "a b", "-x y", "--x y", "--tp 8"),
    ]
)


@settings(deadline=None, max_examples=examples(120))
@given(words=st.lists(WORDS, max_size=6), version=st.sampled_from(VERSIONS))
def test_options_are_taken_apart_as_argparse_does(words: list[str], version: str) -> None:
    release = catalog.load(version)
    found, notes = split([Word(text=word, span=(0, 1)) for word in words], release)
    args = {each.key: value(each) for each in found.values()}
    assume(None not in args.values())  # an empty list, which a profile cannot hold
    read, problems = command.read(args, release)
    ours = not problems and not any(note.severity is Severity.ERROR for note in notes)
    try:
        with contextlib.redirect_stderr(None), contextlib.redirect_stdout(None):
            parsed = vars(PARSERS[version].parse_args(["--model-path=m", *words]))
    except SystemExit:
        assert not ours, words
        return
    assert ours, (words, problems, notes)
    defaults = vars(PARSERS[version].parse_args(["--model-path=m"]))
    meant = defaults | {setting.option.dest: setting.value for setting in read.values()}
    assert meant == parsed
