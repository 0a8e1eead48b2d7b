"""The profiles of a folder and of those in it, told apart from other YAML and JSON files by their keys."""

from __future__ import annotations

import os
import re
from pathlib import Path

from glmdeploy.errors import GlmdeployError, ProfileError
from glmdeploy.profile.text.characters import MAX_BYTES, check
from glmdeploy.profile.text.load import ENDINGS, LOCAL, is_bare
from glmdeploy.records import record
from glmdeploy.resources import profiles_dir

OWN = frozenset(
    {
        *("schema", "app", "model", "gpu", "volumes", "secrets", "sglang"),
        *("download", "compile", "server", "keepalive", "workspace", "waive"),
    }
)
"""Keys of a profile that no other kind of file has together; those in `COMMON` some have."""

COMMON = frozenset({"name", "description", "environment", "tags"})
"""The other keys of a profile."""

_ENOUGH = 3
"""So many of :data:`OWN` make a profile; less is a piece of one, such as an overlay."""

_KEY = re.compile(r"""^(?:"([a-z_]+)"|'([a-z_]+)'|([a-z_]+))[ \t]*:""", re.MULTILINE)
_SKIPPED = ("node_modules", "__pycache__")


@record
class Found:
    """The paths of a folder, in their order: of profiles, and of other files that have a profile's ending."""

    profiles: tuple[str, ...]
    others: tuple[str, ...]


def is_folder(source: str) -> bool:
    """Whether a name on the command line means a folder: a profile of that bare name comes first."""
    if source in ("", "-") or not Path(source).is_dir():
        return False
    return not is_bare(source) or not any((each / f"{source}.yaml").is_file() for each in (LOCAL, profiles_dir()))


def profiles_of(folder: str) -> Found:
    """What is found in a folder and in all that it holds, but for hidden folders and those of package managers.

    Links to folders are not followed. What cannot be read counts as a profile, so that it is judged and told.

    :raises GlmdeployError: where the folder cannot be read, or there is no profile.
    """
    profiles: list[str] = []
    others: list[str] = []
    try:
        for path in _files(Path(folder)):
            (profiles if is_profile(path) else others).append(str(path))
    except OSError as error:
        raise GlmdeployError(f"cannot read `{error.filename}`: {error.strerror}") from None
    if not profiles:
        what = f"{len(others)} other YAML or JSON file{'s' * (len(others) != 1)}" if others else "no YAML or JSON file"
        raise GlmdeployError(
            f"there is no profile in `{folder}`{', but' if others else ':'} {what}",
            advice="a file that is named itself is judged whatever it holds",
        )
    return Found(profiles=tuple(profiles), others=tuple(others))


def _files(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise error

    found = []
    for where, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _SKIPPED)
        files = (Path(where) / name for name in sorted(names) if name[0] != "." and name.endswith(ENDINGS))
        found += [path for path in files if path.is_file()]
    return found


def is_profile(path: Path) -> bool:
    """Whether a file is meant as a profile: by its own keys, which a fault elsewhere in it does not hide."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return True
    keys = _keys(text, str(path))
    # Others extend something too, and say little of what a profile says.
    return len(keys & OWN) >= _ENOUGH or ("extends" in keys and (len(keys) == 1 or bool(keys & (OWN | COMMON))))


def _keys(text: str, file: str) -> frozenset[str]:
    """The keys of the text's top level, as far as they look like a profile's."""
    if text.lstrip().startswith("{"):
        from glmdeploy.profile.text.yaml12 import read_mapping

        try:
            entries = read_mapping(check(text, file)).value
        except ProfileError:
            return frozenset(re.findall(r"""\b([a-z_]+)["']?[ \t]*:""", text))
        return frozenset(entries) if isinstance(entries, dict) else frozenset()
    return frozenset(next(filter(None, match.groups())) for match in _KEY.finditer(text))
