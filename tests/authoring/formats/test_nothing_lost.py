"""Every directive of a unit, a Dockerfile, supervisord's configuration and a Modal script is placed, told or listed."""

from __future__ import annotations

from keyword import kwlist
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from glmdeploy.authoring.formats.recognise import recognise
from glmdeploy.authoring.formats.supervisord import OF_NO_MATTER as NO_MATTER_TO_SUPERVISORD
from glmdeploy.authoring.formats.systemd import OF_NO_MATTER as NO_MATTER_TO_SYSTEMD
from glmdeploy.authoring.launch.script import Script

if TYPE_CHECKING:
    from glmdeploy.authoring.launch.launch import Launch

NAMES = st.from_regex(r"[A-Z][a-z]{2,8}(?:[A-Z][a-z]{2,6})?", fullmatch=True)
KEYS = st.from_regex(r"[a-z]{3,8}(?:_[a-z]{2,6})?", fullmatch=True)
VALUES = st.from_regex(r"[a-z0-9/._-]{1,12}", fullmatch=True)
LAUNCH = "python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 2"


def read(name: str, text: str) -> Launch:
    source = Script(file=name, text=text)
    form = recognise(source)
    assert form is not None
    [launch] = form.read(source)
    return launch


def lines_told(launch: Launch, text: str) -> set[int]:
    """The lines that a word, a variable, the image or a note of the launch stands in."""
    spans = [note.span for note in launch.notes]
    spans += [word.span for word in (*launch.words, *launch.env.values(), *launch.releases)]
    spans += [span for _, span in launch.settings.values()]
    if launch.container:
        spans += [launch.container.image.span, *(word.span for _, word in launch.container.flags)]
    if launch.gpu:
        spans.append(launch.gpu.span)
    found = {text.count("\n", 0, at) for start, end in spans for at in (start, end - 1)}
    return found | {text.count("\n", 0, launch.place[0])}


SYSTEMD = st.one_of(
    st.tuples(NAMES, VALUES),
    st.sampled_from(
        [
            "Restart",
            "RestartSec",
            "User",
            "LimitNOFILE",
            "MemoryMax",
            "ExecStartPre",
            "ExecStop",
            "EnvironmentFile",
            "KillMode",
            "TimeoutStopSec",
            "TimeoutStartSec",
            "WorkingDirectory",
            "Nice",
            "PrivateTmp",
            "UMask",
        ]
    ).map(lambda key: (key, "1")),
    st.tuples(st.just("Environment"), st.tuples(KEYS, VALUES).map("=".join)),
)


@given(st.lists(SYSTEMD, max_size=8))
@settings(max_examples=examples(60), deadline=None)
def test_every_directive_of_a_unit(entries: list[tuple[str, str]]) -> None:
    lines = [
        "[Unit]",
        "Description=x",
        "[Service]",
        f"ExecStart={LAUNCH}",
        *(f"{key}={value}" for key, value in entries),
    ]
    text = "\n".join(lines) + "\n"
    launch = read("sglang.service", text)
    told = lines_told(launch, text)
    last = {value.partition("=")[0]: at for at, (key, value) in enumerate(entries) if key == "Environment"}
    for at, (key, value) in enumerate(entries):
        overwritten = key == "Environment" and last[value.partition("=")[0]] != at
        assert at + 4 in told or key in NO_MATTER_TO_SYSTEMD or key == "ExecStart" or overwritten


@given(st.lists(st.tuples(KEYS, VALUES), max_size=8))
@settings(max_examples=examples(60), deadline=None)
def test_every_key_of_supervisord(entries: list[tuple[str, str]]) -> None:
    own = {key: value for key, value in entries if key not in ("command", "environment")}
    text = (
        "\n".join(["[program:sglang]", f"command={LAUNCH}", *(f"{key}={value}" for key, value in own.items())]) + "\n"
    )
    told = lines_told(read("sglang.conf", text), text)
    for at, (key, value) in enumerate(own.items()):
        assert at + 2 in told or NO_MATTER_TO_SUPERVISORD.fullmatch(key) or (key, value) == ("numprocs", "1")


INSTRUCTIONS = st.one_of(
    st.tuples(
        st.sampled_from(("RUN", "COPY", "ADD", "EXPOSE", "VOLUME", "USER", "WORKDIR", "ONBUILD", "HEALTHCHECK", "ODD")),
        VALUES,
    ),
    st.tuples(st.just("ENV"), st.tuples(KEYS, VALUES).map("=".join)),
    st.tuples(st.just("ENV"), st.tuples(KEYS, VALUES).map(" ".join)),
)


@given(st.lists(INSTRUCTIONS, max_size=8))
@settings(max_examples=examples(60), deadline=None)
def test_every_instruction_of_a_dockerfile(entries: list[tuple[str, str]]) -> None:
    lines = ["FROM lmsysorg/sglang:v0.5.11", *(f"{key} {value}" for key, value in entries), f"CMD {LAUNCH}"]
    text = "\n".join(lines) + "\n"
    told = lines_told(read("Dockerfile", text), text)
    last = {value.replace("=", " ").split(" ")[0]: at for at, (key, value) in enumerate(entries) if key == "ENV"}
    for at, (key, value) in enumerate(entries):
        overwritten = key == "ENV" and last[value.replace("=", " ").split(" ")[0]] != at
        assert at + 1 in told or overwritten


MODALS = st.dictionaries(
    st.one_of(
        KEYS,
        st.sampled_from(
            [
                "min_containers",
                "scaledown_window",
                "region",
                "cpu",
                "volumes",
                "secrets",
                "retries",
                "keep_warm",
                "enable_memory_snapshot",
                "experimental_options",
                "requires_proxy_auth",
                "schedule",
                "proxy",
                "timeout",
            ]
        ),
    ),
    st.sampled_from(("1", '"x"', "True", "SOMETHING", '["a"]', "{'/a': v}")),
    max_size=8,
)


@given(MODALS)
@settings(max_examples=examples(60), deadline=None)
def test_every_parameter_of_modal(parameters: dict[str, str]) -> None:
    parameters = {key: value for key, value in parameters.items() if key not in (*kwlist, "gpu")}
    lines = ["import modal, subprocess", "@app.function(", '    gpu="H200:2",']
    lines += [f"    {key}={value}," for key, value in parameters.items()]
    lines += [")", "def serve():", f'    subprocess.Popen("{LAUNCH}", shell=True)']
    text = "\n".join(lines) + "\n"
    launch = read("serve.py", text)
    told = lines_told(launch, text)
    for at, key in enumerate(parameters):
        assert at + 3 in told or key in ("name", "serialized", "include_source", "http_config", "env", "image")
