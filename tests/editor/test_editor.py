"""A profile in an editor: the real yaml-language-server with the schema that the profile names, outside of a checkout.

One server for all tests. What it is told lies in a repository of its own, and it reaches no network.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from external import node_module, program
from language_server import Server
from reporting import call

from glmdeploy import gpus
from glmdeploy.errors import ProfileError
from glmdeploy.findings import Severity
from glmdeploy.profile.release_schema import release_file
from glmdeploy.profile.text.load import load, read_text
from glmdeploy.resources import profiles_dir
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog
from glmdeploy.sglang.command import RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PROFILE = (HERE / "profile.yaml").read_text(encoding="utf-8")
MISTAKES: list[dict[str, Any]] = read_text(
    "mistakes:\n" + (HERE / "mistakes.yaml").read_text(encoding="utf-8"), "mistakes.yaml"
).data["mistakes"]
RELEASE = "0.5.11"


class Editor:
    """The server, and the folder of somebody's profiles."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def open(self, name: str, text: str, release: str = RELEASE) -> Path:
        """A profile with the line of a release at its top, opened in the editor: its text begins on line 2."""
        file = self.folder / f"{name}.yaml"
        file.write_text(f"# yaml-language-server: $schema=../.glmdeploy/profile-{release}.schema.json\n{text}")
        self.server.opened(file)
        return file

    def offered(self, name: str, text: str, release: str = RELEASE) -> dict[str, dict[str, Any]]:
        """The entries that are offered where `|` stands in the text, by label; each label is there once."""
        before, _, after = text.partition("|")
        rows = before.split("\n")
        items = self.server.completion(self.open(name, before + after, release), len(rows) + 1, len(rows[-1]) + 1)
        found = {item["label"]: item for item in items}
        assert len(found) == len(items)
        return found

    def hover(self, name: str, text: str, release: str = RELEASE) -> str:
        """What is shown where `|` stands in the text."""
        before, _, after = text.partition("|")
        rows = before.split("\n")
        return self.server.hover(self.open(name, before + after, release), len(rows) + 1, len(rows[-1]) + 1)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    folder = tmp_path_factory.mktemp("team") / "profiles"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder.parent)], check=True)
    (folder / "first.yaml").write_text(PROFILE)
    (folder / "later.yaml").write_text(PROFILE.replace("0.5.11", "0.5.23"))
    for name in ("first", "later"):
        code, _, err = call("schema", str(folder / f"{name}.yaml"), "--write")
        assert code == 0, err
    server = Server(program("node"), node_module("yaml-language-server"), folder.parent / "connections")
    try:
        yield Editor(server, folder)
    finally:
        server.close()


def wrong(file: Path) -> set[int]:
    """The lines on which `validate` finds an error that a schema could know: GLM063 is about an API key."""
    try:
        findings = check(load(str(file))).findings
    except ProfileError as error:  # what is no YAML
        return {found.location.line for found in error.findings}
    known = ("schema", "sglang", "GLM063")
    return {found.location.line for found in findings if found.severity is Severity.ERROR and found.id in known}


def test_what_validate_takes_is_not_underlined(editor: Editor) -> None:
    spelled = PROFILE.replace("    tp: 1\n", "    --tensor-parallel: '1'\n    mem-frac: '0.8'\n    ep-size: 1\n")
    instead = "    cuda-graph-bs: 8\n    json-model-override-args: {a: {b: 1}}\n"
    spelled = spelled.replace("    kv-cache-dtype: auto\n", instead)
    spelled += "    lora-paths: [a, b=c]\n    dsa-prefill-backend: null\n    page-size: null\n"
    files = [editor.open("plain", PROFILE), editor.open("spelled", spelled)]
    over = "extends: plain.yaml\nmodel: {repo: Qwen/Qwen3-4B}\nsglang: {args: {tp: null, ep: 1}, env: {A: null}}\n"
    files.append(editor.open("over", over))
    assert [(file.name, wrong(file), editor.server.diagnostics(file)) for file in files] == [
        (file.name, set(), []) for file in files
    ]


@pytest.mark.parametrize("file", sorted(profiles_dir().glob("*.yaml")), ids=lambda file: file.stem)
def test_the_profiles_that_ship_are_not_underlined(editor: Editor, file: Path) -> None:
    editor.server.opened(file)
    assert editor.server.diagnostics(file) == []


@pytest.fixture(scope="module")
def mistaken(editor: Editor) -> list[Path]:
    """A file for each mistake, all opened at once: the server waits a moment before it judges one."""
    texts = [PROFILE.replace(f"{each['from']}\n", f"{each['to']}\n" if each["to"] else "") for each in MISTAKES]
    assert all(text != PROFILE for text in texts)
    return [editor.open(f"mistake-{number}", text) for number, text in enumerate(texts)]


def name(number: int) -> str:
    return str(MISTAKES[number]["to"] or f"without {MISTAKES[number]['from']}").strip()


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=name)
def test_the_editor_and_validate_agree(editor: Editor, mistaken: list[Path], number: int) -> None:
    file, mistake = mistaken[number], MISTAKES[number]
    told = editor.server.diagnostics(file)
    assert any(mistake["says"] in each.message for each in told), told
    assert len(told) == 1
    assert {each.line for each in told} == wrong(file)


def test_the_choices_of_an_option_are_offered_each_with_the_help_of_the_release(editor: Editor) -> None:
    for release in ("0.5.11", "0.5.23"):
        option = catalog.load(release).find("kv-cache-dtype")
        text = PROFILE.replace("0.5.11", release).replace("kv-cache-dtype: auto", "kv-cache-dtype: |")
        offered = editor.offered(f"choices-{release}", text, release)
        assert [*offered] == [*(option.choices or ())]
        [words] = {item["documentation"] for item in offered.values()}
        assert words.startswith("Data type for kv cache storage.")
        assert words.endswith("Default: auto. Since SGLang 0.5.8 or earlier.")
    assert [*editor.offered("switch", PROFILE.replace("tp: 1", "trust-remote-code: |"))] == ["true", "false"]
    assert [*editor.offered("alias", PROFILE.replace("tp: 1", "tensor-parallel-size: |"))] == ["1"]


def test_the_options_of_the_release_are_offered_once(editor: Editor) -> None:
    for release in ("0.5.11", "0.5.23"):
        text = PROFILE.replace("0.5.11", release).replace("tp: 1", "|")
        offered = editor.offered(f"options-{release}", text, release)
        options = [each for each in catalog.load(release).options if each.action not in ("help", "removed")]
        free = {each.canonical[2:] for each in options if each.dest not in RESERVED and not each.deprecated}
        assert set(offered) == free - {"kv-cache-dtype", "context-length"}
        assert ("dsa-prefill-backend" in offered) == (release == "0.5.23")
        assert offered["trust-remote-code"]["insertText"] == "trust-remote-code: true"
        assert offered["page-size"]["insertText"].startswith("page-size: ")


def test_the_keys_of_a_profile_are_offered_with_what_they_need(editor: Editor) -> None:
    new = editor.offered("new", "|\n")
    assert new["new profile"]["insertText"].startswith("schema: ${1:1}\nname: ${2:")
    assert f"version: ${{9:{RELEASE}}}" in new["new profile"]["insertText"]
    assert new["model"]["documentation"] == "What is served."
    model = editor.offered("model", "schema: 1\nmodel:\n  |\n")
    assert [*model] == ["what it needs", "repo", "revision", "served_name"]
    assert model["what it needs"]["insertText"] == "repo: ${1:zai-org/GLM-5.1-FP8}\nserved_name: ${2:glm-5.1}"
    server = editor.offered("server", PROFILE.replace("  timeout: 30m", "  |"))
    assert "timeout" in server
    assert "public" not in server, "it is there already"
    assert server["timeout"]["documentation"].endswith("Default: 86400.")
    assert [*editor.offered("version", PROFILE.replace("version: 0.5.11", "version: |"))] == ["0.5.11"]
    assert {*gpus.TYPES} <= {*editor.offered("gpu", PROFILE.replace("gpu: H100:1", "gpu: |"))}
    assert {*editor.offered("kind", PROFILE.replace("timeout: 30m", "kind: |"))} == {"web_server", "server"}


def test_hovering_tells_help_default_and_release(editor: Editor) -> None:
    about = editor.hover("hover", PROFILE.replace("context-length", "context-len|gth"))
    assert about.startswith(f"#### glmdeploy profile, SGLang {RELEASE}\n\nThe model's maximum context length.")
    assert "Default: not set. Since SGLang 0.5.8 or earlier." in about
    assert "The tensor parallelism size." in editor.hover("short", PROFILE.replace("tp:", "t|p:"))
    window = editor.hover("window", PROFILE.replace("scaledown_window", "scaledown|_window"))
    assert "Default: " in window
    later = PROFILE.replace("0.5.11", "0.5.23").replace("tp: 1", "dsa-prefill|-backend: trtllm")
    assert "Since SGLang 0.5.13.post1." in editor.hover("later-one", later, "0.5.23")


def test_a_deprecated_option_is_marked(editor: Editor) -> None:
    text = PROFILE.replace("0.5.11", "0.5.23").replace("tp: 1", "disable-fast-image-processor: true")
    [told] = editor.server.diagnostics(editor.open("deprecated", text, "0.5.23"))
    assert "image-processor-backend" in told.message
    assert told.line == text.split("\n").index("    disable-fast-image-processor: true") + 2


def test_another_release_than_the_schema_s_is_told(editor: Editor) -> None:
    text = PROFILE.replace("0.5.11", "0.5.23")
    [told] = editor.server.diagnostics(editor.open("moved", text))
    assert told.line == text.split("\n").index("  version: 0.5.23") + 2
    assert "run `glmdeploy schema FILE --write`" in told.message
    code, _, err = call("schema", str(editor.folder / "moved.yaml"), "--write")
    assert code == 0, err
    moved = (editor.folder / "moved.yaml").rename(editor.folder / "written.yaml")
    editor.server.opened(moved)
    assert editor.server.diagnostics(moved) == []


def test_one_schema_for_all_releases_follows_the_version(editor: Editor) -> None:
    files = [editor.folder / f"any-{release}.yaml" for release in ("0.5.11", "0.5.23")]
    for file in files:
        text = PROFILE.replace("0.5.11", file.stem.removeprefix("any-")).replace("tp: 1", "dsa-prefill-backend: trtllm")
        file.write_text(
            f"# yaml-language-server: $schema={release_file(RELEASE).with_name('profile.schema.json')}\n{text}"
        )
        editor.server.opened(file)
    assert [len(editor.server.diagnostics(file)) for file in files] == [1, 0]


def test_every_pattern_is_one_for_an_editor_too() -> None:
    """An editor passes over a pattern that JavaScript does not read, and says nothing."""
    text = """
        const schemas = process.argv.slice(1).map((file) => JSON.parse(require("fs").readFileSync(file)));
        const seen = new Set();
        const walk = (node) => {
          if (node === null || typeof node !== "object") return;
          if (typeof node.pattern === "string") seen.add(node.pattern);
          Object.keys(node.patternProperties ?? {}).forEach((pattern) => seen.add(pattern));
          Object.values(node).forEach(walk);
        };
        schemas.forEach(walk);
        seen.forEach((pattern) => new RegExp(pattern, "u"));
        console.log(seen.size);
    """
    files = [release_file(release) for release in ("0.5.8", RELEASE, "0.5.23")]
    done = subprocess.run([program("node"), "-e", text, *files], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert int(done.stdout) > 500


def test_nothing_is_fetched_for_it(editor: Editor) -> None:
    assert set(editor.server.connections) <= {"www.schemastore.org"}, "the server's own, for files that name no schema"
    document = json.loads((editor.folder.parent / ".glmdeploy" / f"profile-{RELEASE}.schema.json").read_text())
    assert document["$id"] == f"https://glmdeploy.dev/schemas/releases/profile-{RELEASE}.schema.json"
