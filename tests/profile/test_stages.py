"""The fields that Modal's decorators take: each one is declared once, and the real SDK has each keyword."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import modal
import pytest

from glmdeploy.plan.make import keywords
from glmdeploy.plan.plan import Made
from glmdeploy.profile import decorators, serving
from glmdeploy.profile.decorators import Keyword
from glmdeploy.profile.serving import KINDS, Server, of_one_kind
from glmdeploy.profile.stages import Compile, Download, options

DECORATORS: dict[str, Any] = {
    "function": modal.App.function,
    "cls": modal.App.cls,
    "web_server": modal.web_server,
    "concurrent": modal.concurrent,
    "server": modal.App.server,
}


@pytest.mark.parametrize("section", [Download, Compile, Server])
def test_the_sdk_has_every_keyword(section: type) -> None:
    taken = [(decorator, word.name) for field in options(section).values() for decorator, word in field.items()]
    assert taken
    for decorator, word in taken:
        assert word in inspect.signature(DECORATORS[decorator]).parameters, (decorator, word)


def test_a_field_has_a_name_per_decorator() -> None:
    table = options(Server)
    assert table["region"] == {"cls": Keyword(name="region"), "server": Keyword(name="compute_region")}
    assert set(table["startup_timeout"]) == {"cls", "web_server", "server"}
    assert not {"public", "env", "spend_ceiling"} & set(table), "these are no parameters of Modal"


def test_a_keyword_may_say_the_contrary() -> None:
    field = decorators.modal("web_server", server=Keyword(name="unauthenticated", contrary=True))
    assert keywords(True, field.keywords("requires_proxy_auth")) == {
        "web_server": {"requires_proxy_auth": True},
        "server": {"unauthenticated": False},
    }


def test_an_argument_may_be_made_of_a_mapping() -> None:
    taken = options(Download)["retries"]
    assert keywords({"max_retries": 3}, taken) == {
        "function": {"retries": Made(name="Retries", keywords={"max_retries": 3})}
    }


def test_a_kind_has_the_fields_that_its_decorators_take() -> None:
    for kind, takers in KINDS.items():
        found = serving.options(kind)
        assert {each for taken in found.values() for each in taken} == set(takers)
    assert of_one_kind()["max_inputs"] == "web_server"
    assert of_one_kind()["exit_grace_period"] == "server"
    assert "port" not in of_one_kind()


def test_the_page_tells_what_each_kind_takes() -> None:
    page = Path(__file__).parents[2] / "docs" / "profiles.md"
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|([^|]*)\|([^|]*)\|([^|]+)\|$", page.read_text(), re.MULTILINE)
    told = {
        name: (bool(web.strip()), bool(server.strip()))
        for row, web, server, _ in rows
        for name in re.findall("`([a-z_]+)`", row)
    }
    del told["server"]
    taken = {kind: serving.options(kind) for kind in KINDS}
    assert told == {name: tuple(name in taken[kind] for kind in KINDS) for name in options(Server)}
