"""Pin a profile to another SGLang release: what changes, and the profile's data afterwards.

What the profile says is translated (:mod:`glmdeploy.sglang.translation`); what it does not say can change as well:
SGLang's defaults, SGLang's own decisions (:mod:`glmdeploy.sglang.effective`), and what the guard rules think of it.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glmdeploy.authoring import schema_line
from glmdeploy.authoring.editor import EditError
from glmdeploy.authoring.own_file import OwnFile
from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.findings import AddAfter, Edit, Remove, RenameKey, SetValue
from glmdeploy.rules.check import check
from glmdeploy.sglang import catalog
from glmdeploy.sglang.effective import REPORTED, Origin
from glmdeploy.sglang.image import parse
from glmdeploy.sglang.translation import Translation, translate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glmdeploy.findings import Finding, KeyPath
    from glmdeploy.profile.text.document import Document
    from glmdeploy.sglang.catalog import Catalog
    from glmdeploy.sglang.effective import Effective
    from glmdeploy.sglang.translation import Change

UNKNOWN = "(not known)"
"""Stands for a value that SGLang decides in a way that glmdeploy has no data on."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """An option (``$NAME``: a variable) that the profile leaves to SGLang, and its value in the two releases."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """Everything that changes from the release ``source`` to ``target``, which may be an older one.

    ``new_image`` is None where none was given and none follows from the old one's tag; ``guessed`` says that it was
    derived from the tag, and not looked up anywhere. ``findings`` are those that the guard rules add in the target.
    ``data`` is the whole profile afterwards, merged from all its files.
    """

    name: str
    source: str
    target: str
    translation: Translation
    defaults: tuple[Difference, ...]
    effective: tuple[Difference, ...]
    findings: tuple[Finding, ...]
    old_image: str
    new_image: str | None
    guessed: bool
    data: dict[str, Any]

    @property
    def unpinned(self) -> bool:
        """Whether the old image was pinned to a digest, and the new one is not."""
        return parse(self.old_image).digest is not None and parse(self.new_image or self.old_image).digest is None


def upgraded(document: Document, target: str, image: str | None = None) -> Upgrade:
    """The upgrade of a profile to the release ``target``, with its ``image`` if that is known.

    :raises ProfileError: if the profile does not have the shape of one, or its own release has no catalog.
    :raises GlmdeployError: if the target has no catalog.
    """
    new = _release(target)
    before = check(document)
    if before.facts is None:
        raise ProfileError(before.findings)
    sglang = before.facts.profile.sglang
    old = catalog.load(sglang.version)
    translation = translate(sglang.args, sglang.env, old.version, new.version)
    new_image = image or suggested_image(sglang.image, old.version, new.version)
    data = copy.deepcopy(document.data)
    data["sglang"] |= {
        "version": new.version,
        "image": new_image or sglang.image,
        "args": dict(translation.args),
        "env": dict(translation.env),
    }
    after = check(dataclasses.replace(document, data=data))
    if after.facts is None:
        raise ProfileError(after.findings)
    known = {(finding.id, finding.message) for finding in before.findings}
    return Upgrade(
        name=before.facts.profile.name,
        source=old.version,
        target=new.version,
        translation=translation,
        defaults=(
            *_default_differences(old, new, before.facts.effective, after.facts.effective),
            *_variable_differences(old, new, translation.env),
        ),
        effective=_effective_differences(before.facts.effective, after.facts.effective),
        findings=tuple(
            finding
            for finding in after.findings
            # Options that the target refuses are in the translation, with more to say about them.
            if finding.id != "sglang" and (finding.id, finding.message) not in known
        ),
        old_image=sglang.image,
        new_image=new_image,
        guessed=image is None,
        data=data,
    )


def suggested_image(image: str, source: str, target: str) -> str | None:
    """The image with the release in its tag replaced, without a digest; None where the tag does not hold it."""
    reference = parse(image)
    if reference.tag is None:
        return None
    pattern = rf"(?<![\w.]){re.escape(source)}(?!\.?\w)|(?<=\bv){re.escape(source)}(?!\.?\w)"
    changed, count = re.subn(pattern, target, reference.tag)
    return str(dataclasses.replace(reference, tag=changed, digest=None)) if count == 1 else None


def _release(version: str) -> Catalog:
    try:
        return catalog.load(version)
    except catalog.UnknownVersion as error:
        raise GlmdeployError(
            f"glmdeploy does not know SGLang {error.version}", advice=f"known releases: {', '.join(error.known)}"
        ) from None


def _default_differences(
    old: Catalog, new: Catalog, before: Mapping[str, Effective], after: Mapping[str, Effective]
) -> tuple[Difference, ...]:
    """Of the options that both releases have and nobody decides, those with another default."""
    earlier = old.defaults()
    return tuple(
        Difference(name=dest.replace("_", "-"), old=earlier[dest], new=default)
        for dest, default in new.defaults().items()
        if dest in earlier
        and earlier[dest] != default
        and before[dest].origin is Origin.DEFAULT
        and after[dest].origin is Origin.DEFAULT
    )


def _variable_differences(old: Catalog, new: Catalog, env: Mapping[str, str]) -> tuple[Difference, ...]:
    return tuple(
        Difference(name=f"${name}", old=old.env[name].default, new=variable.default)
        for name, variable in new.env.items()
        if name in old.env and name not in env and old.env[name].default != variable.default
    )


def _effective_differences(before: Mapping[str, Effective], after: Mapping[str, Effective]) -> tuple[Difference, ...]:
    """Values that SGLang decides in one of the releases at least, and that come out different."""
    return tuple(
        Difference(name=name.replace("_", "-"), old=_value(before[name]), new=_value(after[name]))
        for name in REPORTED
        if name in before
        and name in after
        and _value(before[name]) != _value(after[name])
        and Origin.SGLANG in (before[name].origin, after[name].origin)
    )


def _value(effective: Effective) -> Any:
    return effective.value if effective.known else UNKNOWN


_VERSION: KeyPath = ("sglang", "version")
_IMAGE: KeyPath = ("sglang", "image")


def write(document: Document, upgrade: Upgrade) -> Path | None:
    """Edit the profile's file: the release, its image, its schema line, and everything that the translation changes.

    Returns the copy of the target's schema, where one was put beside it.

    The new text replaces the file at once, and only if it gives, with all that the profile extends, exactly the
    upgraded profile.

    :raises EditError: if a value stands in another file, or cannot be changed safely; the file is as before then.
    :raises GlmdeployError: if the upgrade is not possible, has no image, or the file cannot be written.
    """
    if upgrade.translation.impossible:
        raise GlmdeployError("what cannot be translated must be decided first; nothing was written")
    if upgrade.new_image is None:
        raise GlmdeployError(
            f"no image of SGLang {upgrade.target} follows from the tag of {upgrade.old_image}",
            advice="name one with `--image`",
        )
    edited = _edited(OwnFile.read(document.files[0]), upgrade)
    data = edited.document.data
    if {**data, "sglang": {"args": {}, "env": {}, **data["sglang"]}} != upgrade.data:
        raise EditError(f"the edited {edited.name} would not give the upgraded profile; nothing was written")
    kept, file = None, Path(edited.name)
    if schema_line.has_line(edited.text):
        kept = schema_line.keep_schema(file, upgrade.target)
        edited = dataclasses.replace(
            edited, text=schema_line.with_line(edited.text, schema_line.schema_line(file, upgrade.target))
        )
    edited.write()
    return kept


def _edited(file: OwnFile, upgrade: Upgrade) -> OwnFile:
    for path, old, new in ((_VERSION, upgrade.source, upgrade.target), (_IMAGE, upgrade.old_image, upgrade.new_image)):
        if old != new:
            file = file.edited(SetValue(path=path, value=new))
    for change in upgrade.translation.changes:
        file = _changed(file, change)
    return file


def _changed(file: OwnFile, change: Change) -> OwnFile:
    """The file with the change made: a new setting takes the place of an old one, or stands behind the one before."""
    old = {_path_of(name): value for name, value in change.old.items()}
    last: KeyPath | None = None
    for path, value in ((_path_of(name), value) for name, value in change.new.items()):
        before = next((other for other in old if other[:-1] == path[:-1]), None)
        if path in old:
            del old[path]
            file = file.edited(SetValue(path=path, value=value))
        elif path not in file.alone.marks and before is not None:
            file = file.edited(RenameKey(path=before, name=str(path[-1])))
            if old.pop(before) != value:
                file = file.edited(SetValue(path=path, value=value))
        elif path not in file.alone.marks:
            file = file.edited(_addition(file, path, value, after=last))
        last = path
    return file.edited(*(Remove(path=path) for path in old))


def _addition(file: OwnFile, path: KeyPath, value: Any, after: KeyPath | None) -> Edit:
    """The edit that adds a setting: behind another one, or in a section that begins behind the image."""
    if after is not None and after[:-1] == path[:-1]:
        return AddAfter(path=after, name=str(path[-1]), value=value)
    if path[:-1] not in file.alone.marks and _IMAGE in file.alone.marks:
        return AddAfter(path=_IMAGE, name=str(path[-2]), value={path[-1]: value})
    return SetValue(path=path, value=value)


def _path_of(name: str) -> KeyPath:
    return ("sglang", "env", name.removeprefix("$")) if name.startswith("$") else ("sglang", "args", name)
