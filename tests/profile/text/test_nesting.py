"""However a text nests, its depth has our bound, at one place and in our words, and never a parser's.

libyaml 0.2.6 has bounds of its own (1,000 brackets in a line, 1,000 indents); libyaml 0.2.5 and the Python parser
have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.errors import ProfileError
from glmdeploy.profile.text.characters import MAX_BYTES, check
from glmdeploy.profile.text.composer import MAX_DEPTH
from glmdeploy.profile.text.yaml12 import FAST, PURE, compose

if TYPE_CHECKING:
    from glmdeploy.findings import Finding

loaders = pytest.mark.parametrize("loader", [FAST, PURE], ids=["libyaml", "python"])


class Layer(NamedTuple):
    """One level more. ``kind`` is what opens it: ``k:`` and ``-`` in block style, else a bracket."""

    kind: str
    annotated: str
    below: bool
    """Begins a line, where it could stand beside what is around it."""


def layers(*kinds: str) -> st.SearchStrategy[list[Layer]]:
    annotated = st.sampled_from(["", "&a ", "&a !!{} ", "!!{} "])
    return st.lists(st.builds(Layer, st.sampled_from(kinds), annotated, st.booleans()), max_size=8)


def written(blocks: list[Layer], flows: list[Layer]) -> tuple[str, list[int]]:
    """A text, and the offset at which each of its levels opens."""
    text, opens, column, above = "", [], 0, ""
    for kind, annotated, below in blocks:
        if above == "-" and not below:
            column += 2
            text += " "
        elif above:
            # A dash may stand right under the key to which it belongs.
            column += not (above == "k:" and kind == "-")
            text += " " + annotated.format("seq" if kind == "-" else "map") + "\n" + " " * column
        opens.append(len(text))
        text += kind
        above = kind
    text += " "
    closing = ""
    for kind, annotated, below in flows:
        text += annotated.format("map" if kind == "{" else "seq") + ("\n" + " " * (column + 1)) * below
        opens.append(len(text))
        text += kind
        if kind == "[k:":  # a list of a mapping that has no brackets
            opens.append(len(text) - 2)
        text += "k: " if kind == "{" else " "
        closing = ("}" if kind == "{" else "]") + closing
    return text + "x" + closing, opens


nested = st.builds(
    lambda blocks, block_times, flows, flow_times: written(blocks * block_times, flows * flow_times),
    layers("k:", "-"),
    st.sampled_from([1, 8, 20]),
    layers("[", "{", "[k:"),
    st.sampled_from([1, 8, 20, 1000]),
).filter(lambda nest: len(nest[0]) <= MAX_BYTES)


def refusal(text: str, loader: type) -> Finding:
    with pytest.raises(ProfileError) as caught:
        compose(check(text, "p.yaml"), loader=loader)
    [finding] = caught.value.findings
    return finding


@loaders
@given(nested)
def test_the_limit_is_ours(loader: type, text_and_opens: tuple[str, list[int]]) -> None:
    text, opens = text_and_opens
    if len(opens) <= MAX_DEPTH:
        root = compose(check(text, "p.yaml"), loader=loader)
        assert root is not None
        assert root.height == len(opens)
        return
    finding = refusal(text, loader)
    assert finding.message == f"the profile is nested deeper than {MAX_DEPTH} levels"
    assert finding.fix
    assert finding.location == check(text, "p.yaml").place(opens[MAX_DEPTH])


@loaders
@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("[" * 1001, 64),
        ("a: " + "[" * 900_000, 66),
        ("a: &a " + "[" * 1001 + "]" * 1001, 69),
        ("? " * 1001 + "a", 128),
        ("- " * 1001 + "a", 128),
        ("&a [" * 1001, 4 * 64 + 3),
        ("".join(" " * depth + "a:\n" for depth in range(1001)), sum(depth + 3 for depth in range(64)) + 64),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_a_parser_with_a_limit_of_its_own(loader: type, text: str, offset: int) -> None:
    """Each is more than libyaml 0.2.6 reads."""
    finding = refusal(text, loader)
    assert finding.message.startswith("the profile is nested deeper")
    assert finding.location == check(text, "p.yaml").place(offset)
