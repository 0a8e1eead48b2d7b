"""Trees of recorded decisions: how a question is answered, what a leaf gives, and what counts as recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from glmdeploy import gpus
from glmdeploy.sglang.decisions import trees
from glmdeploy.sglang.decisions.situation import Situation
from glmdeploy.sglang.decisions.trees import OPEN, Decided, Recordings, parse
from glmdeploy.sglang.decisions.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN = "a GPU of which nothing is known"
YES, NO = ["const", "yes", "0"], ["const", "no", "0"]


def recordings(grown: Mapping[str, Sequence[Any]], **more: Any) -> Recordings:
    content = {
        "architecture": "AnyForCausalLM",
        "answers": 7,
        "releases": ["0.5.10", "0.5.23"],
        "gpus": ["B200", "H200"],
        "seen": {},
        "replaced": {},
        "trees": grown,
    }
    return parse(content | more)


def situation(values: Mapping[str, Any], *, version: str = "0.5.23", gpu: str = "H200") -> Situation:
    known = replace(gpus.parse("H200:8"), type=gpu, memory_mib=None) if gpu == UNKNOWN else gpus.parse(f"{gpu}:8")
    return Situation(version=version, gpu=known, quantization=None, env={}, values=values)


def one(
    tree: Sequence[Any], values: Mapping[str, Any], *, more: Mapping[str, Any] | None = None, **where: Any
) -> Decided:
    """What a tree of ``page_size`` says of it."""
    values = values if isinstance(values, Watched) else {"page_size": None, **values}
    found = recordings({"page_size": tree}, **(more or {})).decide(
        situation(values, **where), {"page_size": None} | values
    )
    return found["page_size"]


def test_a_file_is_read_whole() -> None:
    assert recordings({"page_size": YES}, seen={"dtype": ["half"]}, replaced={"page_size": [1]}) == Recordings(
        architecture="AnyForCausalLM",
        answers=7,
        releases=("0.5.10", "0.5.23"),
        gpus=("B200", "H200"),
        seen={"dtype": ("half",)},
        replaced={"page_size": (1,)},
        trees={"page_size": YES},
    )


@pytest.mark.parametrize(
    ("question", "values", "answer"),
    [
        (["dtype", "set", None], {"dtype": "half"}, "yes"),
        (["dtype", "set", None], {}, "no"),
        (["dtype", "is", "half"], {"dtype": "half"}, "yes"),
        (["dtype", "is", "half"], {"dtype": "auto"}, "no"),
        (["dtype", "is", "half"], {}, "no"),
        (["tp_size", "from", 4], {"tp_size": 3}, "no"),
        (["tp_size", "from", 4], {"tp_size": 4}, "yes"),
        (["tp_size", "from", 4], {"tp_size": 5}, "yes"),
        (["tp_size", "from", 4], {}, "no"),
        (["tp_size", "from", 4], {"tp_size": "8"}, "no"),
        (["cpu_offload_gb", "from", 1.5], {"cpu_offload_gb": 2.5}, "yes"),
        (["release", "from", "0.5.23"], {}, "yes"),
        (["release", "from", "0.5.22"], {}, "yes"),
    ],
)
def test_a_question_is_answered(question: list[Any], values: dict[str, Any], answer: str) -> None:
    decided = one([*question, YES, NO], values)
    assert decided == Decided(value=answer, recorded=False, because=(question[0],))


def test_an_older_release_answers_no() -> None:
    assert one(["release", "from", "0.5.23", YES, NO], {}, version="0.5.22").value == "no"


def test_what_was_asked_on_the_way_is_told_in_order_and_once() -> None:
    tree = ["tp_size", "set", None, ["dtype", "set", None, YES, ["tp_size", "from", 4, YES, NO]], NO]
    assert one(tree, {"tp_size": 8}) == Decided(value="yes", recorded=False, because=("tp_size", "dtype"))


@pytest.mark.parametrize(
    ("values", "value"),
    [({"dtype": "half"}, "yes"), ({"dtype": "float32"}, OPEN), ({}, "no"), ({"dtype": "auto"}, "no")],
)
def test_a_value_that_no_recording_has_settles_nothing(values: dict[str, Any], value: Any) -> None:
    decided = one(["dtype", "is", "half", YES, NO], values, more={"seen": {"dtype": ["auto", "half"]}})
    assert decided == Decided(value=value, recorded=False, because=("dtype",))


@pytest.mark.parametrize("name", ["memory", "capability", "checkpoint"])
def test_what_is_not_known_of_the_machine_settles_nothing(name: str) -> None:
    assert one([name, "set", None, YES, NO], {}, gpu=UNKNOWN) == Decided(value=OPEN, recorded=False, because=(name,))


@pytest.mark.parametrize(
    ("leaf", "asked", "value"),
    [
        (["keep", None, "0"], 16, 16),
        (["keep", None, "0"], None, None),
        (["const", 64, "0"], None, 64),
        (["const", None, "0"], None, None),
        (["same", "dtype", "0"], None, "half"),
        (["open", None, "0"], None, OPEN),
        # What is asked for stands where nothing shows that it does not.
        (["open", None, "0"], 16, 16),
        (["const", 64, "0"], 16, 16),
        (["const", 64, "0"], 1, 64),
        (["const", 64, "0"], "auto", 64),
        (["const", True, "0"], False, True),
        (["const", 64, "0"], [16], 64),
        (["const", 64, "0"], {"a": 1}, 64),
        (["open", None, "0"], "auto", OPEN),
        (["open", None, "0"], False, OPEN),
        (["formula", "chunk", "0"], None, 8192),
        (["formula", "chunk", "0"], 16, 8192),
        (["formula", "one more than the steps", "0"], None, OPEN),
        (["formula", "one more than the steps", "0"], 16, 16),
    ],
)
def test_a_leaf_gives_a_value(leaf: list[Any], asked: Any, value: Any) -> None:
    decided = one(leaf, {"page_size": asked, "dtype": "half"}, more={"replaced": {"page_size": [1]}})
    assert decided == Decided(value=value, recorded=False, because=())


def test_a_name_may_be_the_same_as_one_that_is_decided() -> None:
    grown = {"dtype": ["const", "half", "0"], "page_size": ["same", "dtype", "0"]}
    asked = {"dtype": None, "page_size": None}
    found = recordings(grown).decide(situation(asked), asked)
    assert {name: each.value for name, each in found.items()} == {"dtype": "half", "page_size": "half"}


@pytest.mark.parametrize(("decided", "answer"), [("half", "yes"), (None, "no"), (False, "no"), (0, "no")])
def test_a_question_may_be_about_what_is_decided(decided: Any, answer: str) -> None:
    grown = {"dtype": ["const", decided, "0"], "page_size": ["=dtype", "set", None, YES, NO]}
    asked = {"dtype": None, "page_size": None}
    assert recordings(grown).decide(situation(asked), asked)["page_size"].value == answer


def test_what_follows_from_what_is_not_settled_is_not_settled() -> None:
    grown = {"dtype": ["open", None, "0"], "page_size": ["=dtype", "set", None, YES, NO]}
    asked = {"dtype": None, "page_size": None}
    found = recordings(grown).decide(situation(asked), asked)
    assert found["page_size"] == Decided(value=OPEN, recorded=False, because=("=dtype",))


def test_a_name_that_the_release_lacks_is_passed_over() -> None:
    found = recordings({"dtype": YES, "page_size": YES}).decide(situation({}), {"page_size": None})
    assert list(found) == ["page_size"]


PLACES = (("0.5.10", "B200"), ("0.5.10", "H200"), ("0.5.23", "B200"), ("0.5.23", "H200"))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("bits", [0b0001, 0b0010, 0b0100, 0b1000, 0b1111, 0])
def test_recorded_is_what_the_real_one_was_asked_there(place: int, bits: int) -> None:
    version, gpu = PLACES[place]
    assert one(["const", 64, f"{bits:x}"], {}, version=version, gpu=gpu).recorded is bool(bits >> place & 1)


def test_places_are_hexadecimal() -> None:
    assert one(["const", 64, "10"], {}, version="0.5.10", gpu="B200").recorded is False


@pytest.mark.parametrize(("version", "gpu"), [("0.5.16", "B200"), ("0.5.10", "L4")])
def test_nothing_is_recorded_elsewhere(version: str, gpu: str) -> None:
    assert one(["const", 64, "f"], {}, version=version, gpu=gpu).recorded is False


def test_what_is_not_settled_is_not_recorded() -> None:
    assert one(["open", None, "f"], {}).recorded is False


def lost(tree: Sequence[Any], values: Mapping[str, Any], *refused: str) -> Decided:
    return one(tree, Watched({"page_size": None, **values}, refused))


def test_what_hangs_on_a_refused_option_is_lost() -> None:
    gone = Decided(value=OPEN, recorded=False, because=("dtype",), lost=True)
    assert lost(["dtype", "set", None, YES, NO], {"dtype": "half"}, "dtype") == gone
    # What it is called where it was renamed.
    gone = Decided(value=OPEN, recorded=False, because=("algorithm",), lost=True)
    assert lost(["algorithm", "set", None, YES, NO], {}, "speculative_algorithm") == gone


def test_what_does_not_hang_on_it_is_known() -> None:
    assert lost(["tp_size", "set", None, YES, NO], {"tp_size": 8}, "dtype") == Decided(
        value="yes", recorded=False, because=("tp_size",)
    )


def test_a_formula_that_counts_with_it_is_lost() -> None:
    # With a value that stands for it, and with None, which cannot be counted with.
    for values in ({"chunked_prefill_size": 4096}, {}):
        found = lost(["formula", "chunk", "f"], values, "chunked_prefill_size")
        assert found == Decided(value=OPEN, recorded=False, because=(), lost=True)
    found = lost(["formula", "all but a reserve", "f"], {"pp_size": 1}, "tp_size")
    assert found == Decided(value=OPEN, recorded=False, because=(), lost=True)


def test_a_formula_that_cannot_count_for_no_such_reason_is_a_fault() -> None:
    with pytest.raises(TypeError):
        lost(["formula", "all but a reserve", "f"], {"pp_size": 1}, "dtype")


def test_a_refused_name_is_lost_itself_and_what_follows_from_it() -> None:
    grown = {
        "dtype": ["const", "half", "f"],
        "page_size": ["=dtype", "set", None, YES, NO],
        "tp_size": ["keep", None, "f"],
    }
    asked = {"dtype": "bad", "page_size": None, "tp_size": 8}
    found = recordings(grown).decide(situation(Watched(asked, {"dtype"})), asked)
    assert found["dtype"] == Decided(value=OPEN, recorded=False, because=(), lost=True)
    assert found["page_size"] == Decided(value=OPEN, recorded=False, because=("=dtype",), lost=True)
    assert found["tp_size"] == Decided(value=8, recorded=True, because=())


def test_what_is_asked_for_stands_though_it_follows_from_what_is_refused() -> None:
    found = lost(["dtype", "set", None, YES, NO], {"page_size": 16, "dtype": "half"}, "dtype")
    assert found == Decided(value=16, recorded=False, because=("dtype",))


def test_there_is_a_file_for_each_architecture_that_was_asked_about() -> None:
    trees.load.cache_clear()
    trees.names.cache_clear()
    found = trees.load("LlamaForCausalLM")
    assert found is not None
    assert found.architecture == "LlamaForCausalLM"
    assert trees.load("UnknownForCausalLM") is None
    assert {"mem_fraction_static", "attention_backend"} <= set(trees.names())
