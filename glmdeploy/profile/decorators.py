"""What the fields of a profile are to Modal: keywords of its decorators.

Names: modal 1.6.4, ``modal/app.py`` and ``modal/_partial_function.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from glmdeploy.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

Decorator = Literal["function", "cls", "web_server", "concurrent", "server"]
"""``@app.function``, ``@app.cls``, ``@modal.web_server``, ``@modal.concurrent`` and ``@app.server``."""


@record
class Keyword:
    """A decorator's keyword: its name there, and whether it says the contrary of the profile's field.

    ``made`` names the class of :mod:`modal` that is made of the field's mapping. ``replicas`` says that the field
    counts replicas where Modal counts containers, of which a cluster has several.
    """

    name: str
    contrary: bool = False
    replicas: bool = False
    made: str | None = None


class ModalOption:
    """Says that a field is an option of Modal: in ``same`` decorators by its own name, in the others by theirs."""

    def __init__(self, same: tuple[Decorator, ...], other: Mapping[Decorator, Keyword]) -> None:
        self.same, self.other = same, other

    def keywords(self, name: str) -> dict[Decorator, Keyword]:
        """What each decorator calls the field of this name."""
        return {decorator: Keyword(name=name) for decorator in self.same} | dict(self.other)


def modal(*same: Decorator, **other: str | Keyword) -> ModalOption:
    """``modal("cls", server="compute_region")``: the decorators that take the field, where by another name."""
    renamed = {name: Keyword(name=word) if isinstance(word, str) else word for name, word in other.items()}
    return ModalOption(same=same, other=renamed)  # type: ignore[arg-type]


def replicas(name: str) -> ModalOption:
    """A number of replicas: a class has one container for each, a Server as many as the profile's cluster has nodes."""
    return modal("cls", server=Keyword(name=name, replicas=True))
