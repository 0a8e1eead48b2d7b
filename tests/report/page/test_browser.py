"""The report in a real browser: nothing is asked for, nothing complained of, axe-core finds nothing, nothing scrolls.

One process of Chromium opens all pages. With ``--update`` it makes the pictures of ``docs/images`` too: they are for
people, and what they look like depends on a machine's fonts, so no test compares them.
"""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import external
import pytest
from reporting import call
from snapshots import ROOT
from support import some

LOOK = Path(__file__).parent / "look.cjs"
IMAGES = ROOT / "docs" / "images"
WIDTHS = (360, 800, 1280)
LARGEST = 150_000
"""Bytes of a picture."""

EAGLE = "b200-eagle-bf16kv"
EMBEDDING = ("local-cpu-embedding", "--set", "gpu=L4", "--set", "sglang.args.device=cuda")
SEVERAL = ("h100-glm45-air-fp8", "--set", "gpu=[H100:8, H200:8]", "--set", "server.min_containers=1")
HOSTILE = (
    *("--set", "description=<script>alert(1)</script> \u05d0\u05d1\u05d2 " + "w" * 200),
    *("--set", "model.served_name=" + "\U0001f469" * 60, "--set", "app=" + "a" * 60),
)

PAGES: dict[str, tuple[str, ...]] = {
    # The first has all parts that a page can have, and is looked at in each width and scheme.
    "compared": ("b200-longcontext-bf16kv", "--compare", EAGLE),
    "eagle": (EAGLE,),
    "local": ("local-cpu",),
    "embedding": EMBEDDING,
    "several": SEVERAL,
    "errors": (EAGLE, "--set", "sglang.args.tp=4", "--set", "sglang.args.no-such=3"),
    "broken": ("broken.yaml",),
    "hostile": (EAGLE, *HOSTILE, "--compare", "local-cpu"),
}

RARE = ("several", "hostile")
"""What other pages have too, but for the numbers and lengths: opened with ``--all`` alone."""

WRONG = """<!DOCTYPE html>
<html><head><title>wrong</title><meta charset="utf-8"><link rel="stylesheet" href="missing.css"></head>
<body><p style="color: #ccc; background: #fff; width: 2000px">pale and wide</p><script>missing()</script></body></html>
"""

PICTURES = {
    "report-light.png": {"width": 1200, "height": 860, "scheme": "light"},
    "report-dark.png": {"width": 1200, "height": 860, "scheme": "dark"},
    "report-360.png": {"width": 360, "height": 1240, "scheme": "light"},
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the browser says of all pages, and of one that has everything wrong."""
    browser = external.program("chromium", "chromium-browser", "google-chrome")
    node = external.program("node")
    modules = external.node_module("playwright-core").parent
    external.node_module("axe-core")
    folder = tmp_path_factory.mktemp("pages")
    (folder / "broken.yaml").write_text("name: [1, 2\nserver: {\n")
    pages = {name: each for name, each in PAGES.items() if name not in RARE or request.config.getoption("--all")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, arguments in pages.items():
            call("report", *arguments, "-o", f"{name}.html", "--date", "2026-01-02")
    (folder / "wrong.html").write_text(WRONG)
    shots = []
    if request.config.getoption("update"):
        IMAGES.mkdir(exist_ok=True)
        page = str(folder / "eagle.html")
        shots = [{"page": page, "file": str(IMAGES / name), **shot} for name, shot in PICTURES.items()]
    asked = {
        "modules": str(modules),
        "browser": browser,
        "profile": str(tmp_path_factory.mktemp("browser")),
        "pages": [str(folder / f"{name}.html") for name in (*pages, "wrong")],
        "widths": WIDTHS,
        "whole": ["compared.html"],
        "shots": shots,
    }
    done = subprocess.run(
        [node, LOOK], input=json.dumps(asked), text=True, capture_output=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", some(PAGES, *(name for name in PAGES if name not in RARE)))
def test_nothing_is_wrong(name: str, seen: dict[str, Any]) -> None:
    assert [each for each in seen["problems"] if each["page"] == f"{name}.html"] == []
    counts = seen["counts"][f"{name}.html"]
    assert counts["scripts"] == 0
    assert counts["sections"] == {"broken": 1, "compared": 9, "hostile": 9}.get(name, 8)


def test_what_is_wrong_would_be_seen(seen: dict[str, Any]) -> None:
    found = {(each["problem"][0], *each["problem"][1:2]) for each in seen["problems"] if each["page"] == "wrong.html"}
    kinds = {kind for kind, *_ in found}
    assert kinds == {"requests", "console", "error", "scrolls", "axe"}
    assert ("axe", "color-contrast") in found


def test_the_pictures_are_small() -> None:
    for name, shot in PICTURES.items():
        data = (IMAGES / name).read_bytes()
        assert len(data) < LARGEST, name
        assert struct.unpack(">II", data[16:24]) == (shot["width"], shot["height"])
