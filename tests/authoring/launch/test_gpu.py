"""On which GPUs a launch runs, from what the text and its options say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy import gpus
from glmdeploy.authoring.launch import gpu
from glmdeploy.authoring.launch.launch import Launch, Word
from glmdeploy.authoring.launch.options import split
from glmdeploy.authoring.launch.script import ImportOptions
from glmdeploy.authoring.launch.sections import Sections
from glmdeploy.findings import Severity
from glmdeploy.sglang import catalog


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("h100", "H100"),
        ("H100!", "H100!"),
        ("b200+", "B200+"),
        ("nvidia-h100-80gb", "H100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("nvidia_h200_141gb", "H200"),
        ("NVIDIA-H200", "H200"),
        ("A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA-A100-SXM4-40GB", "A100-40GB"),
        ("a100", "A100"),
        ("a100-80gb", "A100-80GB"),
        ("nvidia-a10g", "A10"),
        ("nvidia-tesla-t4", "T4"),
        ("nvidia-l4", "L4"),
        ("L40S", "L40S"),
        ("rtx-pro-6000", "RTX-PRO-6000"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000"),
        ("rtxpro6000", "RTX-PRO-6000"),
        ("B200", "B200"),
        ("nvidia-b200-180gb", "B200"),
        ("b300", "B300"),
        # Other GPUs, whose names look like those.
        ("GB200", None),
        ("H20", None),
        ("H800", None),
        ("A800", None),
        ("L40", None),
        ("H100-NVL", None),
        ("H100-96GB", None),
        ("RTX-6000-Ada", None),
        ("V100", None),
        ("MI300X", None),
        ("gpu", None),
        ("", None),
    ],
)
def test_names_of_others(text: str, name: str | None) -> None:
    assert gpus.named(text) == name


@given(text=st.text(max_size=20))
def test_any_name_is_modal_s_or_none(text: str) -> None:
    assert gpus.named(text) in {None, *gpus.TYPES}


@pytest.mark.parametrize("name", gpus.TYPES)
def test_modal_s_own_names_stay(name: str) -> None:
    assert gpus.named(name) == gpus.named(name.lower()) == name


def told(text: str | None, *options: str, wanted: str | None = None) -> tuple[str, list[tuple[Severity, str]]]:
    given_, _ = split([Word(text=each, span=(0, 1)) for each in options], catalog.load("0.5.11"))
    word = Word(text=text, span=(0, 1)) if text is not None else None
    sections = Sections()
    launch = Launch(words=(), place=(0, 1), env={}, gpu=word)
    found, _ = gpu.of_launch(given_, launch, ImportOptions(gpu=wanted), sections)
    return found, [(note.severity, note.message) for note in sections.notes]


@pytest.mark.parametrize(
    ("text", "options", "found", "message"),
    [
        ("H200:4", ("--tp", "4"), "H200:4", None),
        ("h200:4", ("--tp", "4"), "H200:4", None),
        ("H200", ("--tp", "2"), "H200:2", None),
        ("A100-80GB:2", ("--tp", "2"), "A100-80GB:2", None),
        ("H200:8", ("--tp", "4"), "H200:4", "gives 8 GPUs, but SGLang uses 4"),
        ("H200:2", ("--tp", "4"), "H200:4", "gives 2 GPUs, but SGLang needs 4"),
        (":4", ("--tp", "4"), "B200:4", "does not say on which GPU"),
        (None, ("--tp", "4"), "B200:4", "does not say on which GPU"),
        ("V100:4", ("--tp", "4"), "B200:4", "no GPU that is called V100"),
        (None, ("--tp", "16"), "B200:8", "is for 16 GPUs"),
    ],
)
def test_what_the_text_says_is_used(
    text: str | None, options: tuple[str, ...], found: str, message: str | None
) -> None:
    rented, notes = told(text, *options)
    assert rented == found
    assert any(message in each for _, each in notes) if message else not notes


def test_the_command_line_wins_but_does_not_make_sixteen_gpus_fit() -> None:
    assert told("H200:4", "--tp", "4", wanted="B200:4") == ("B200:4", [])
    rented, [(severity, message)] = told(None, "--tp", "16", wanted="H200:8")
    assert rented == "H200:8"
    assert severity is Severity.ERROR
    assert "16 GPUs" in message
