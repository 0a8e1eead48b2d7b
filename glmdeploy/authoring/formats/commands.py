"""Shell texts inside other files, the variables that the files set for them, and the releases that they install."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from glmdeploy.authoring.formats import phrase
from glmdeploy.authoring.formats.references import without_template
from glmdeploy.authoring.formats.section import passed_on
from glmdeploy.authoring.launch.find import launches
from glmdeploy.authoring.launch.launch import Container, Launch, Word
from glmdeploy.authoring.launch.variables import Scope, Variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from glmdeploy.authoring.formats.section import Section

_RELEASE = re.compile(r"\bsglang(?:\[[\w,. -]*\])?\s*==\s*([0-9][\w.]*)")


def of_shell(
    texts: Sequence[Word],
    env: Mapping[str, Word],
    *,
    given: Mapping[str, Word] | None = None,
    image: Word | None = None,
    releases: Iterable[Word] = (),
) -> list[Launch]:
    """The launches of shell texts that run one after the other.

    ``env`` are the variables of the file, ``given`` those that its program sets by itself, which the server does not
    read. ``image`` is where the texts run, ``releases`` what is installed before.

    :raises ShellError: where a text cannot be read as a shell reads it.
    """
    text = "\n".join(each.text for each in texts)
    offsets: list[int] = []
    for each in texts:
        offsets += [*each.offsets, each.span[1] - 1]
    scope = Scope(
        variables={
            **{name: Variable(words=(value,)) for name, value in (given or {}).items()},
            **{name: Variable(words=(value,), exported=True) for name, value in env.items()},
        },
        ambient=given or {},
    )
    found = launches(text, offsets[: len(text)], scope)
    container = Container(image=image) if image is not None else None
    return [
        replace(each, container=each.container or container, releases=(*releases, *each.releases)) for each in found
    ]


def releases_in(text: Word) -> list[Word]:
    """The releases of SGLang that a text installs: `sglang[all]==0.5.10`."""
    return [phrase.cut(text, range(*match.span(1))) for match in _RELEASE.finditer(text.text)]


def variables_of(section: Section, key: str) -> dict[str, Word]:
    """The variables of a key: a mapping, or a list of `NAME=value`; a name alone is passed on from elsewhere."""
    tree = section.take(key)
    env: dict[str, Word] = {}
    for name, pair in (tree.entries or {}).items() if tree is not None else ():
        value = pair.value
        env[name] = passed_on(name, pair.key.span) if value.null else without_template(section.text_of(value, name))
    for item in section.items(key) if tree is not None and tree.entries is None else ():
        text = without_template(section.text_of(item, key))
        name, equals, _ = text.text.partition("=")
        value_at = range(len(name) + 1, len(text.text))
        env[name] = phrase.cut(text, value_at) if equals else passed_on(name, text.span)
    return env
