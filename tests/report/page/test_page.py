"""The page of ``glmdeploy report``: well-formed, self-contained, the same each time, and what it says."""

from __future__ import annotations

import json
import re
from datetime import date
from functools import cache
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from reporting import call, write_profiles
from snapshots import ROOT
from variations import SETS

from glmdeploy.profile.text.load import load
from glmdeploy.report.page.document import page
from glmdeploy.report.page.subject import Compared, Report, subject
from glmdeploy.report.view import clean
from glmdeploy.rules.check import check
from glmdeploy.rules.rule import TWO_NODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from glmdeploy.report.page.subject import Subject

DAY = date(2026, 1, 2)
LARGEST = 150_000
"""Bytes."""

ELEMENTS = {
    *("html", "head", "meta", "title", "link", "style", "body", "header", "nav", "main", "footer", "section", "div"),
    *("p", "h1", "h2", "h3", "ul", "li", "dl", "dt", "dd", "a", "code", "pre", "mark", "strong", "span", "bdi", "time"),
    *("figure", "figcaption", "details", "summary", "article"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "defs", "pattern", "rect", "line", "path", "circle", "text", "tspan"),
}
"""None of these loads or runs anything but a link, whose address is looked at."""


def report_of(name: str, *sets: str, other: str | None = None) -> Report:
    mine = subject(name, check(load(name, sets=sets), today=DAY))
    return Report(subject=mine, day=DAY, compared=None if other is None else side(other))


@cache
def shipped(name: str) -> Subject:
    return subject(name, check(load(name), today=DAY))


def side(name: str) -> Compared:
    found = shipped(name)
    return Compared(name=name, subject=found, data=found.plan.data() if found.plan else None)


def page_of(name: str, *sets: str, other: str | None = None) -> str:
    return page(report_of(name, *sets, other=other))


class Outline(HTMLParser):
    """What a parser of HTML makes of a page: every element with its attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown.append(data)

    @property
    def text(self) -> str:
        return "".join(self.shown)


def assert_harmless(text: str) -> Outline:
    """Well-formed as HTML and as XML, with known elements alone, and nothing that is fetched or run."""
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    found = Outline(text)
    assert {name for name, _ in found.elements} <= ELEMENTS
    for name, attributes in found.elements:
        assert not [each for each in attributes if each.startswith(("on", "src")) or each == "style"]
        address = attributes.get("href")
        if name == "link":
            assert (address or "").startswith("data:image/svg+xml,")
        elif address is not None:
            assert name == "a"
            assert address.startswith(("#", "https://"))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    inside = {f"#{each}" for each in ids}
    links = [attributes["href"] for name, attributes in found.elements if name == "a"]
    assert inside.issuperset(each for each in links if each is not None and each.startswith("#"))
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert set(re.findall(r"url\([^)]*\)|@import|@font-face", style[1])) == {"url(#hatch)"}
    return found


SHIPPED = ("b200-eagle-bf16kv", "b200-eagle-bf16kv-0.5.23", "h100-glm45-air-fp8", "local-cpu", "local-cpu-embedding")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_profile_that_ships(name: str) -> None:
    text = page_of(name)
    found = assert_harmless(text)
    assert len(text.encode()) < LARGEST
    assert text == page_of(name)
    titles = [attributes["id"] for tag, attributes in found.elements if tag == "h2"]
    assert titles == [
        f"{each}-title" for each in ("picture", "memory", "capacity", "time", "cost", "findings", "values", "command")
    ]


def test_the_answers_come_first() -> None:
    text = Outline(page_of("b200-eagle-bf16kv")).text
    head = text[: text.index("Deployment", text.index("b200-eagle-bf16kv", 500))]
    for answer in ("3 warnings", "fits", "$50 an hour", "about 8 min", "65,536 tokens", "API key required"):
        assert answer in head, answer


def test_what_size_and_command_say() -> None:
    """The figures are those of the other commands, to the digit."""
    text = Outline(page_of("b200-eagle-bf16kv")).text
    for figure in ("90.3 GiB", "70.1 GiB", "101,436", "712,064", "1,291,392", "1,365", "3,276", "$149.99", "$6.61"):
        assert figure in text, figure
    code, command, _ = call("command", "b200-eagle-bf16kv")
    assert code == 0
    assert command.partition("# model")[0].strip() in text


def test_images_have_names_and_the_same_as_a_table() -> None:
    tree = ElementTree.fromstring(page_of("b200-eagle-bf16kv").removeprefix("<!DOCTYPE html>\n"))
    html, svg = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
    images = [each for each in tree.iter(f"{svg}svg") if each.get("role") == "img"]
    assert len(images) == 8
    for image in images:
        assert image[0].tag == f"{svg}title"
        assert image[0].text
    for figure in tree.iter(f"{html}figure"):
        assert figure.find(f".//{html}table") is not None
    for table in tree.iter(f"{html}table"):
        assert table.find(f"{html}caption") is not None
        assert all("".join(each.itertext()).strip() for each in table.iter(f"{html}th"))


def test_what_is_not_known_is_said() -> None:
    text = Outline(page_of("local-cpu")).text
    assert "How the memory of T4:1 is used is not known here: SGLang runs on cpu, whose memory is not counted." in text
    assert "How long it takes is not known here: SGLang runs on cpu" in text
    strange = Outline(page_of("b200-eagle-bf16kv", "model.repo=acme/unknown-7B")).text
    assert "the dimensions of acme/unknown-7B do not ship with glmdeploy: --model-config FILE or --ask-hub" in strange
    assert "Not judged" in strange


def test_errors_come_before_the_picture() -> None:
    """A profile that SGLang refuses: what is known of it is shown, and what it says is not worked out."""
    report = report_of("b200-eagle-bf16kv", "sglang.args.no-such=3", "sglang.args.tp=4")
    found = assert_harmless(page(report))
    assert "not deployed as long as there are errors" in found.text
    assert found.text.index("SGLang 0.5.11 has no option no-such.") < found.text.index("Hugging Face Hub")
    assert "an option that SGLang does not take stands in the way" in found.text


def test_what_the_comparison_says() -> None:
    report = report_of("b200-longcontext-bf16kv", other="b200-eagle-bf16kv")
    found = assert_harmless(page(report))
    changes = found.text[found.text.index("What changes", found.text.index("Command")) :]
    for said in ("kernel compile", "no container restarts", "202752", "New findings", "GLM212", "GLM030"):
        assert said in changes, said
    assert "another app" in changes
    same = Outline(page_of("b200-eagle-bf16kv", other="b200-eagle-bf16kv")).text
    assert "Nothing differs in what is deployed." in same
    assert "The same findings as before." in same


def test_what_runs_is_compared_by_its_plan() -> None:
    """Of it there is no profile: neither findings nor all effective values, but those that its start compares."""
    old, new = shipped("b200-eagle-bf16kv"), report_of("b200-eagle-bf16kv", "gpu=H200:8").subject
    assert old.plan is not None
    report = Report(subject=new, day=DAY, compared=Compared(name="live:glm51-fp8", data=old.plan.data()))
    text = assert_harmless(page(report)).text
    assert "what runs is not judged again" in text
    assert "From live:glm51-fp8 to this profile" in text


@given(st.lists(st.sampled_from(SETS), max_size=4, unique_by=lambda each: each.partition("=")[0]))
def test_any_profile_has_a_page(sets: list[str]) -> None:
    text = page_of("b200-eagle-bf16kv", *sets, other="b200-eagle-bf16kv")
    assert_harmless(text)
    assert len(text.encode()) < LARGEST


TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        (
            "<script>alert(1)</script>",
            "</style><img src=x onerror=alert(1)>",
            "]]><x>&amp;&lt;",
            "\"'><svg onload=alert(1)>",
            "javascript:alert(1)",
            "https://example.com/\"onmouseover='x",
            "\u05d0\u05d1\u05d2 \u202egnp.exe\u202c",
            "w" * 300,
            "👩‍👩‍👧 🇩🇪",
            "`code <b>` and `one",
            "{{ 7*7 }} {% raw %}",
            "--><!--",
        )
    ),
)


@given(TEXTS, TEXTS)
@example("<script>alert(1)</script>", "</pre></style>")
def test_nothing_of_a_profile_is_markup(one: str, two: str) -> None:
    """Where a profile takes any text, and where it takes none and a finding repeats it."""
    document = load("b200-eagle-bf16kv")
    data = document.data
    data["description"] = data["model"]["served_name"] = one
    data["sglang"]["args"]["chat-template"] = two
    data["server"]["env"]["A"] = two
    data["tags"] = {"team": one}
    data["waive"] = [{"rule": "GLM068", "reason": one, "until": "2099-01-01"}]
    checked = check(document, today=DAY)
    text = page(Report(subject=subject(one, checked), day=DAY))
    found = assert_harmless(text)
    assert clean(one) in found.text
    for marked in ("<script", "<img", "<x>", "<b>"):
        assert marked not in text
    assert "\u202e" not in text


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_profiles(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["schema", "option", "release", "broken"])
def test_what_is_no_profile_has_a_page_with_findings(name: str, profiles: Path) -> None:
    code, out, err = call("report", f"{name}.yaml", "-o", "page.html", "--date", "2026-01-02")
    assert (code, out) == (1, "")
    assert "wrote page.html" in err
    text = assert_harmless((profiles / "page.html").read_text()).text
    assert re.search(r"Findings\d+ error", text)


def test_the_command(profiles: Path) -> None:
    assert call("report", "clean.yaml", "-o", "page.html", "--date", "2026-01-02")[0] == 0
    written = (profiles / "page.html").read_text()
    assert call("report", "clean.yaml", "--date", "2026-01-02")[1] == written
    code, _, err = call("report", "clean.yaml", "-o", "no/such/folder.html")
    assert (code, "cannot write" in err) == (1, True)
    assert call("report", "clean.yaml", "--json", "--format", "html")[0] == 2
    assert call("report", "clean.yaml", "--compare", ".")[0] == 2
    for name, said in (("no-such-profile", "there is no profile"), ("empty.yaml", "is empty")):
        code, _, err = call("report", name, "-o", "other.html")
        assert (code, said in err) == (1, True)
    assert not (profiles / "other.html").exists()


def test_no_page_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("glmdeploy.cli.report.sys", terminal)
    code, out, err = call("report", "local-cpu")
    assert (code, out, "-o report.html" in err) == (2, "", True)
    assert call("report", "local-cpu", "--format", "markdown")[0] == 0


def test_the_data() -> None:
    """For a program: the parts that other commands have, each under its name."""
    code, out, _ = call("report", "b200-longcontext-bf16kv", "--compare", "b200-eagle-bf16kv", "--json")
    data = json.loads(out)
    assert code == 0
    assert data["sizes"][0]["memory"]["weights_bytes"] > 90 * 2**30
    assert data["values"]["kv_cache_dtype"] == "bfloat16"
    assert {"name": "scaledown_window", "brings_about": ["live"]}.items() <= data["compared"]["values"][3].items()
    assert [each["id"] for each in data["compared"]["added"]] == ["GLM212"]
    code, out, _ = call("report", "local-cpu", "--json")
    assert (code, json.loads(out)["sizes"][0]["gpu"]) == (0, "T4:1")


def test_a_revision_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code, out, _ = call("report", "local-cpu", "--compare", "git:HEAD:profiles/local-cpu.yaml", "--format", "markdown")
    assert code == 0
    assert "#### Against `git:HEAD:profiles/local-cpu.yaml`" in out


def test_what_runs_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``live:`` is the plan of a version that runs; of what glmdeploy did not deploy there is none."""
    plan = shipped("b200-eagle-bf16kv").plan
    assert plan is not None
    asked: list[tuple[str, int | None]] = []
    version = SimpleNamespace(number=7)

    def deployed(app: str, _: object, number: int | None) -> Any:
        asked.append((app, number))
        data = {"none": None, "foreign": SimpleNamespace(data=None, version=version)}
        return data.get(app, SimpleNamespace(data=plan.data(), version=version))

    monkeypatch.setattr("glmdeploy.operate.target.connect", lambda *_, **__: "Modal")
    monkeypatch.setattr("glmdeploy.operate.deployed.deployed", deployed)
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("report", "b200-longcontext-bf16kv", "--compare", "live:glm51-fp8@7", "--format", "markdown")
    assert (code, asked) == (0, [("glm51-fp8", 7)])
    assert "#### Against `live:glm51-fp8@7`" in out
    assert "| `sglang --max-running-requests` | `48` | `8` |" in out
    for app, said in (("none", "no app none is deployed"), ("foreign", "did not deploy version 7 of foreign")):
        code, _, err = call("report", "b200-eagle-bf16kv", "--compare", f"live:{app}", "-o", "page.html")
        assert (code, said in err) == (1, True)
    assert not (tmp_path / "page.html").exists()


@pytest.fixture
def marked(snapshot: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(ROOT)

    def check_it(name: str, *arguments: str) -> None:
        snapshot(name, call("report", *arguments, "--format", "markdown", "--date", "2026-01-02")[1])

    return check_it


def test_markdown(marked: Callable[..., None]) -> None:
    marked("report-markdown", "b200-eagle-bf16kv")
    marked("report-markdown-compared", "b200-longcontext-bf16kv", "--compare", "b200-eagle-bf16kv")
    marked("report-markdown-errors", "b200-eagle-bf16kv", "--set", "sglang.args.tp=4")


@given(TEXTS)
def test_markdown_of_any_text(text: str) -> None:
    """Each row of a table has the cells of its head, every fold is closed, and no HTML but the folds."""
    from glmdeploy.report.page.markdown import report_markdown

    document = load("b200-eagle-bf16kv")
    document.data["model"]["served_name"] = text
    document.data["waive"] = [{"rule": "GLM068", "reason": text, "until": "2099-01-01"}]
    mine = subject(text, check(document, today=DAY))
    old = shipped("b200-eagle-bf16kv")
    assert old.plan is not None
    written = report_markdown(Report(subject=mine, day=DAY, compared=Compared(name=text, data=old.plan.data())))
    cells = 0
    for line in written.splitlines():
        if re.fullmatch(r"\|(-+:?\|)+", line.replace("--:", "-")):
            cells = line.count("|")
        elif line.startswith("|") and cells:
            assert len(re.findall(r"(?<!\\)\|", line)) == cells, line
        else:
            cells = 0
    outside = re.sub(r"`[^`]*`", "", written)
    assert {each for each in re.findall(r"(?<!\\)<[^<>]*>", outside) if not each.startswith("<https://")} <= {
        *("<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>")
    }
    assert written.count("<details>") == written.count("</details>")


def test_a_cluster_is_one_replica() -> None:
    text = " ".join(Outline(page_of("b200-nospec-bf16kv", *TWO_NODES)).shown)
    assert "2 × 8 × B200" in text
    assert "$99.99 an hour" in text
    assert "At most 3 clusters" in text
    assert "each cluster; 0 to 3 clusters, nothing when idle" in text
    assert "of 16 GPUs" in text
    assert "Each of the 2 hosts sends 1.9 MB for each token" in text
    assert "clusters" not in " ".join(Outline(page_of("b200-nospec-bf16kv")).shown)
