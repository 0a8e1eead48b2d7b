"""The release of a launch: what the text says wherever it says it, else the newest that takes every option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.launch.imported import import_script
from glmdeploy.authoring.launch.launch import Container, Launch, Word
from glmdeploy.authoring.launch.options import split
from glmdeploy.authoring.launch.release import named, release
from glmdeploy.authoring.launch.respelled import refused, respelled
from glmdeploy.authoring.launch.script import ImportOptions, Script
from glmdeploy.findings import Severity
from glmdeploy.sglang import catalog
from glmdeploy.sglang.renames import KEPT, RENAMES

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.imported import Imported

LAUNCH = "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8"


def imported(text: str, file: str = "x.sh", **options: Any) -> Imported:
    return import_script(Script(file=file, text=text), ImportOptions(gpu="H200:8", **options))


def version(result: Imported) -> str:
    assert result.data is not None
    return str(result.data["sglang"]["version"])


def args(result: Imported) -> dict[str, Any]:
    assert result.data is not None
    return dict(result.data["sglang"]["args"])


def words(*texts: str) -> tuple[Word, ...]:
    ends = [sum(len(each) + 1 for each in texts[: index + 1]) for index in range(len(texts))]
    return tuple(Word(text=each, span=(end - len(each) - 1, end - 1)) for each, end in zip(texts, ends, strict=True))


def launch(*options: str, image: str | None = None, releases: tuple[str, ...] = ()) -> Launch:
    told = words(*releases, *([image] if image else []), *options)
    return Launch(
        words=told[len(releases) + bool(image) :],
        place=(0, 1),
        env={},
        container=Container(image=told[len(releases)]) if image else None,
        releases=told[: len(releases)],
    )


def test_without_a_word_about_it_the_newest_is_taken() -> None:
    result = imported(LAUNCH)
    assert version(result) == catalog.versions()[-1]
    [note] = [note for note in result.notes if "does not say which SGLang" in note.message]
    assert note.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("options", "newest"),
    [
        ("--cuda-graph-bs 1 2", "0.5.19"),
        ("--keep-mm-feature-on-device", "0.5.20"),
        ("--kv-cache-dtype fp4_e2m1", "0.5.20"),
        ("--nsa-decode-backend trtllm --startup-weight-load-mode overlap", "0.5.19"),
        # The release whose own parser takes a value decides, not the one that has the option.
        ("--speculative-algorithm nextn", None),
    ],
)
def test_the_newest_that_takes_every_option_with_its_value(options: str, newest: str | None) -> None:
    result = imported(f"{LAUNCH} {options}")
    assert version(result) == (newest or catalog.versions()[-1])
    assert not [note for note in result.notes if note.severity is Severity.ERROR]
    assert all(flag.removeprefix("--") in args(result) for flag in options.split() if flag.startswith("--"))
    if newest:
        assert any(f"{catalog.versions()[-1]} refuses --" in note.message for note in result.notes)


def test_where_none_takes_all_the_one_that_takes_most_and_what_is_renamed_is_said() -> None:
    result = imported(f"{LAUNCH} --cuda-graph-max-bs 64 --attn-dp-size 8")
    assert version(result) == catalog.versions()[-1]
    assert args(result)["cuda-graph-max-bs-decode"] == 64
    assert args(result)["attn-dp-size"] == 8
    messages = [note.message for note in result.notes]
    assert any("none takes all" in message for message in messages)
    assert any("`--cuda-graph-max-bs` `--cuda-graph-max-bs-decode`" in message for message in messages)


@pytest.mark.parametrize(
    ("said", "option", "new"),
    [
        ("0.5.23", "--nsa-prefill-backend trtllm", {"dsa-prefill-backend": "trtllm"}),
        ("0.5.23", "--cuda-graph-bs 1 2 4", {"cuda-graph-bs-decode": [1, 2, 4]}),
        ("0.5.10", "--dsa-prefill-backend trtllm", {"nsa-prefill-backend": "trtllm"}),
        ("0.5.11", "--attn-dp-size 8", {"enable-dp-attention": True, "dp-size": 8}),
        ("0.5.23", "--disable-piecewise-cuda-graph", {"cuda-graph-backend-prefill": "disabled"}),
        ("0.5.23", "--collect-tokens-histogram", {}),
    ],
)
def test_a_release_that_is_said_gets_what_it_calls_so(said: str, option: str, new: dict[str, Any]) -> None:
    result = imported(f"docker run lmsysorg/sglang:v{said} {LAUNCH} {option}")
    assert version(result) == said
    assert args(result) == {"tp-size": 8, **new}
    flag = option.split()[0]
    [note] = [note for note in result.notes if f"`{flag}" in note.message]
    assert note.severity is Severity.WARNING
    assert note.location.text[note.location.column - 1 :].startswith(flag)
    assert all(f"--{name}" in note.message for name in new)


def test_a_release_that_is_said_has_an_error_where_no_rename_helps() -> None:
    result = imported(f"docker run lmsysorg/sglang:v0.5.11 {LAUNCH} --startup-weight-load-mode overlap")
    assert version(result) == "0.5.11"
    [note] = [note for note in result.notes if note.severity is Severity.ERROR]
    assert "no option `startup-weight-load-mode`" in note.message


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (launch(releases=("0.5.11",)), "0.5.11"),
        (launch(releases=("v0.5.11",)), "0.5.11"),
        (launch(releases=("0.5.10.post1", "0.5.11")), "0.5.11"),
        (launch(image="lmsysorg/sglang:v0.5.16-cu130"), "0.5.16"),
        (launch(image="me/sglang:0.5.16"), "0.5.16"),
        (launch(image="rocm/sgl-dev:v0.5.8.post1-rocm700"), None),
        (launch(image="nvidia/cuda:12.8.1"), None),
        (launch(image="me/server:1.2.3"), None),
        (launch(image="lmsysorg/sglang:latest"), None),
        (launch(image="me/server:v0.5.16"), "0.5.16"),
        (launch(releases=("main",)), None),
    ],
)
def test_where_the_text_says_it(told: Launch, said: str | None) -> None:
    assert named(told)[1] == said


def test_what_is_installed_counts_more_than_the_image_s_tag_and_that_is_told() -> None:
    text = f'docker run lmsysorg/sglang:v0.5.16 bash -c "pip install sglang==0.5.11 && {LAUNCH}"'
    result = imported(text)
    assert version(result) == "0.5.11"
    assert result.data is not None
    assert result.data["sglang"]["image"] == "lmsysorg/sglang:v0.5.11"
    assert any("says SGLang 0.5.16, but the text names 0.5.11" in note.message for note in result.notes)


def test_what_is_installed_outside_of_a_container_is_not_in_it() -> None:
    result = imported(f"pip install sglang==0.5.11\ndocker run lmsysorg/sglang:v0.5.16 {LAUNCH}")
    assert version(result) == "0.5.16"


def test_an_image_of_somebody_s_own_is_kept_with_a_word() -> None:
    result = imported(f'docker run me/tuned:1 bash -c "pip install sglang==0.5.11 && {LAUNCH}"')
    assert result.data is not None
    assert result.data["sglang"]["image"] == "me/tuned:1"
    assert any("which Modal would not do" in note.message for note in result.notes)


def test_the_command_line_comes_first() -> None:
    text = f"docker run lmsysorg/sglang:v0.5.16 {LAUNCH}"
    assert version(imported(text, sglang_version="0.5.11")) == "0.5.11"


def test_a_configuration_file_is_read_as_each_release_reads_it() -> None:
    text = "model-path: zai-org/GLM-5.1-FP8\ntp: 8\ncuda-graph-max-bs: 32\n"
    assert version(imported(text, "server.yaml")) == "0.5.19"


FLAGS = sorted({flag for each in catalog.versions() for option in catalog.load(each).options for flag in option.flags})


@settings(deadline=None, max_examples=examples(12))
@given(chosen=st.lists(st.sampled_from([flag for flag in FLAGS if flag.startswith("--")]), min_size=1, max_size=4))
def test_no_release_refuses_less_than_the_one_that_is_taken(chosen: list[str]) -> None:
    found = release(lambda _: launch(*chosen), ImportOptions())

    def lost(each: str) -> int:
        given, notes = split(words(*chosen), catalog.load(each))
        kept = respelled(given, catalog.load(each))[0]
        return len(refused(kept, catalog.load(each))) + sum(note.severity is Severity.ERROR for note in notes)

    assert lost(found.catalog.version) == min(map(lost, catalog.versions()))


ROWS = [
    row for row in RENAMES if row.direction != "back" and not row.given and not any(key[0] == "$" for key in row.old)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "+".join(row.old))
def test_every_known_rename_is_applied_where_the_old_word_is_gone(row: Any) -> None:
    last = catalog.load(catalog.versions()[-1])
    old = catalog.load(row.until or last.version)
    texts: list[str] = []
    for name, value in row.old.items():
        option = old.find(name)
        kept = next(iter(row.values), None) or (option.choices[0] if option.choices else "8")
        texts += [f"--{name}", *([] if value is True else [str(kept if value is KEPT else value)])]
    given, _ = split(words(*texts), last)
    kept_, notes = respelled(given, last)
    if not refused(given, last):
        assert kept_ == given
    elif not refused(kept_, last):
        assert notes
        assert not set(row.old) & {each.key for each in kept_.values()}
