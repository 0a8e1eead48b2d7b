"""Values of which some are not known: each question about one is noticed, and none about others."""

from __future__ import annotations

from glmdeploy.sglang.decisions.watched import Watched, questions, unknown


def test_questions_are_counted() -> None:
    noted: list[None] = []
    values = Watched({"tp_size": 8, "dtype": "bad"}, {"dtype", "absent"}, lambda: noted.append(None))
    assert (questions(values), unknown(values)) == (0, {"dtype", "absent"})
    assert (values["tp_size"], values.get("tp_size"), values.get("none", 3), "tp_size" in values) == (8, 8, 3, True)
    assert (questions(values), noted) == (0, [])
    assert values["dtype"] == "bad"
    assert (questions(values), len(noted)) == (1, 1)
    assert values.get("dtype") == "bad"
    assert (questions(values), len(noted)) == (2, 2)
    assert "dtype" in values
    assert (questions(values), len(noted)) == (3, 3)
    assert "absent" not in values
    assert (questions(values), len(noted)) == (4, 4)
    assert dict(values.items()) == {"tp_size": 8, "dtype": "bad"}
    assert questions(values) == 4


def test_of_other_values_all_is_known() -> None:
    assert (questions({"dtype": "half"}), unknown({"dtype": "half"})) == (0, frozenset())
    values = Watched({"dtype": "half"}, ())
    assert (values["dtype"], questions(values), unknown(values)) == ("half", 0, frozenset())
