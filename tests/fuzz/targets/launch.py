"""A launch to import: every word of it is in the profile, in a message, or listed, and the profile can be read again.

An input is a file's name, a line break, and the file.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

from fuzz.places import hidden, in_text, seemly
from fuzz.target import ROOT, TOKEN, Target, words
from glmdeploy.authoring.formats.recognise import recognise
from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.imported import Imported, import_script
from glmdeploy.authoring.launch.place import sections_of
from glmdeploy.authoring.launch.script import ImportOptions, Script, decode
from glmdeploy.authoring.launch.words import ShellError
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.text.load import read_text
from glmdeploy.report.text import finding_text
from glmdeploy.sglang import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from glmdeploy.authoring.launch.launch import Launch, Word
    from glmdeploy.findings import Finding

VERSION = "0.5.16"
OPTIONS = ImportOptions(sglang_version=VERSION, gpu="H200:8")


def check(data: bytes) -> None:
    name, _, body = data.partition(b"\n")
    file = _name(name)
    try:
        script = decode(body, file)
    except ProfileError as error:
        _told(body.decode("utf-8", "replace"), file, error.findings)
        return
    try:
        _accounted(script)
        if len(data) % 2:  # the rules take most of the time, and are another target's
            return
        result = import_script(script, OPTIONS)
    except ProfileError as error:
        assert error.findings, "refused without a finding"
        _told(script.text, file, error.findings)
        return
    _told(script.text, file, result.notes)
    _imported(script, result)


def _name(line: bytes) -> str:
    return re.sub(r"[^\w.-]", "", line[:40].decode("ascii", "replace"), flags=re.ASCII) or "run.sh"


def _told(text: str, file: str, findings: Sequence[Finding]) -> None:
    in_text(findings, file, text.split("\n"))
    shown = "\n".join(map(finding_text, findings))
    seemly(shown)
    hidden(text, shown)


def _imported(script: Script, result: Imported) -> None:
    """The profile that was written reads as it was meant, and is judged as it was."""
    if result.text is None:
        assert any(note.severity is Severity.ERROR for note in result.notes), "no profile, and no reason for it"
        return
    assert read_text(result.text, "imported profile").data == result.data, "what was written says something else"
    assert result.checked is not None
    shape = [found for found in result.checked.findings if found.id in ("yaml", "schema", "sglang")]
    assert not (shape and result.complete), f"taken for a profile, and none: {shape}"
    hidden(script.text, result.text + json.dumps(result.data, ensure_ascii=False))


@cache
def _release() -> catalog.Catalog:
    return catalog.load(VERSION)


def _accounted(script: Script) -> None:
    """SGLang's words and variables are in the profile, or a message stands at them."""
    form = recognise(script)
    try:
        found = form.read(script) if form else launches(script.text)
    except ShellError:
        return
    for launch in found:
        if launch.engine is None:
            _words(script, launch)


def _words(script: Script, launch: Launch) -> None:
    sections = sections_of(launch, _release(), OPTIONS, script.text)
    if not sections.data:
        assert any(note.severity is Severity.ERROR for note in sections.notes), "no profile, and no reason for it"
        return
    profile = json.dumps(sections.data, ensure_ascii=False)
    told = "\n".join(f"{note.message} {note.fix} {note.expected}" for note in sections.notes)
    spans = [note.span for note in sections.notes]
    placed = {"", *(str(path[-1]) for path in sections.origins), *sections.data["sglang"].get("args", {})}

    def covered(word: Word) -> bool:
        return any(start < word.span[1] and word.span[0] < end for start, end in spans)

    before: Word | None = None
    for word in launch.words:
        name, _, value = word.text.partition("=")
        known = not word.text or covered(word) or name in told or _spelled(word.text, profile, told)
        if word.text.startswith("-") and not known:
            known = _key(name) in placed or name.lstrip("-") in placed or bool(value and _spelled(value, profile, told))
        elif not known and before is not None:  # a value: its option's message is about both
            known = covered(before) or not _key(before.text.partition("=")[0])
        assert known, f"the word {word.text!r} is nowhere"
        before = word if word.text.startswith("-") else before


def _spelled(text: str, profile: str, told: str) -> bool:
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    return inner in profile or text in told or text[:20] in told or _number(text) in profile


def _number(text: str) -> str:
    """A number as a profile has it."""
    for read in (int, json.loads):
        try:
            return json.dumps(read(text))
        except (ValueError, RecursionError):
            continue
    return "\0"


@cache
def _key(flag: str) -> str:
    """The key under which a profile has an option, by whatever spelling; empty where it has a place of its own."""
    try:
        option = _release().find(flag)
    except (catalog.OptionError, ValueError):
        return flag.removeprefix("--") or flag
    return "" if option.dest in _PLACED_ELSEWHERE else option.canonical.removeprefix("--")


_PLACED_ELSEWHERE = ("model_path", "served_model_name", "port", "host", "api_key", "revision")


def seeds() -> Iterator[bytes]:
    for folder in ("field", "formats", "launch"):
        for file in sorted((ROOT / "tests/authoring" / folder).rglob("*")):
            named = file.suffix in (".py", ".json") and file.stem.startswith("test_")
            if file.is_file() and not named and "__pycache__" not in file.parts and file.stat().st_size < 4000:
                yield file.name.encode() + b"\n" + file.read_bytes()
    launch = "python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8"
    for text in (
        f"{launch} --api-key {TOKEN}",
        f"export HF_TOKEN={TOKEN}\n{launch}",
        f"docker run -e HF_TOKEN={TOKEN} lmsysorg/sglang:v0.5.16 {launch}",
        f"{launch} --nope {TOKEN}",
        f"{launch} # {TOKEN}",
        f'{launch} --json-model-override-args \'{{"a": "{TOKEN}"}}\'',
    ):
        yield f"run.sh\n{text}\n".encode()
    yield "\n".join(
        (
            "compose.yaml\nservices:\n  a:\n    image: lmsysorg/sglang:v0.5.16",
            f"    command: {launch}\n    environment: {{A: {TOKEN}}}\n",
        )
    ).encode()
    yield f"Dockerfile\nFROM lmsysorg/sglang:v0.5.16\nENV A={TOKEN}\nCMD {launch}\n".encode()
    yield "\n".join(
        (
            f'serve.py\nimport modal, subprocess\nTOKEN = "{TOKEN}"',
            "@app.function(gpu='H200:8')\ndef serve():",
            f"    subprocess.Popen(f'{launch} --api-key {{TOKEN}}', shell=True)\n",
        )
    ).encode()


TARGET = Target(name="launch", check=check, seeds=seeds, words=words("launch"))
