"""Profiles as a revision of a Git repository has them: read from its objects, nothing is checked out.

What a profile extends is read from the same revision, and so are the profiles that ship with glmdeploy, where the
repository is glmdeploy's own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from glmdeploy.errors import ProfileError, UsageError
from glmdeploy.findings import Location
from glmdeploy.profile.text.characters import fault, shown
from glmdeploy.profile.text.load import ENDINGS, LOCAL, Place, extended, is_bare, read, refused
from glmdeploy.resources import profiles_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import CompletedProcess

SECONDS = 60
"""The longest wait for Git: it only reads what lies on this machine, unless the repository is a partial clone."""


class Revision:
    """The files of one commit, as :class:`~glmdeploy.profile.text.load.Files`. ``name`` is what the user called it."""

    def __init__(self, name: str) -> None:
        """Look the revision up in the repository of the current folder.

        :raises UsageError: where there is no Git, no repository, or no such revision in it.
        """
        self.name = name
        self.top = Path(_git("rev-parse", "--show-toplevel", why="there is no Git repository here").strip())
        why = f"there is no revision `{shown(name)}` in `{self.top}`"
        if not name or name.startswith("-"):
            raise UsageError(why, advice="name a commit, a branch or a tag")
        spec = f"{name}^{{commit}}"
        self.commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", spec, why=why).strip()

    def named(self, source: str) -> Place:
        """A path from the current folder, else from the top of the repository, as Git has it; or a bare name.

        :raises ProfileError: where the revision has no such file.
        """
        names = [str(LOCAL / f"{source}.yaml"), source] if is_bare(source) else [source]
        for name in names:
            for folder in (Path.cwd(), self.top):
                real = Path(os.path.normpath(folder / name))
                if self._kind(real) == "blob":
                    return self._place(real)
        if is_bare(source) and (shipped := self._shipped(source)):
            return shipped
        raise ProfileError(
            [fault(f"`{shown(self.name)}` has no file `{shown(source)}`", Location(file=source, line=1, column=1))]
        )

    def extended(self, value: str, by: Place, location: Location) -> Place:
        """As :func:`glmdeploy.profile.text.load.extended`. :raises ProfileError:"""
        if not by.real.is_relative_to(self.top):  # a shipped profile, on this machine's disk
            return extended(value, by, location)
        if is_bare(value):
            return self._shipped(value) or extended(value, by, location)
        real = Path(os.path.normpath(by.real.parent / value))
        if not real.is_relative_to(self.top):
            raise refused(
                f"`{shown(value)}` is outside the repository of the profile, which it may not leave",
                location,
                fix="keep the files that a profile extends in its repository",
            )
        if self._kind(real) != "blob":
            raise refused(f"`{shown(self.name)}` has no file `{shown(value)}` beside `{by.name}` to extend", location)
        return self._place(real)

    def read(self, place: Place) -> bytes:
        """The bytes of a file of the revision, or of a shipped one on this machine. :raises ProfileError:"""
        if not place.real.is_relative_to(self.top):
            return read(place)
        header, _, content = self._object(place.real).partition(b"\n")
        if header.split()[1:2] != [b"blob"]:
            raise ProfileError([fault(f"`{place.name}` cannot be read", Location(file=place.name, line=1, column=1))])
        return content[:-1]

    def folder(self, path: str) -> Sequence[str] | None:
        """The paths of the profiles in a folder, from the top of the repository; None where it is no folder."""
        for base in (Path.cwd(), self.top):
            real = Path(os.path.normpath(base / path))
            if self._kind(real) == "tree":
                inner = "" if real == self.top else f"{real.relative_to(self.top).as_posix()}/"
                names = _git("ls-tree", "--name-only", "-z", f"{self.commit}:{inner}", why=f"cannot list {path}")
                return [f"{inner}{name}" for name in names.split("\0") if name.endswith(ENDINGS) and name[0] != "."]
        return None

    def _place(self, real: Path) -> Place:
        name = f"{self.name}:{real.relative_to(self.top).as_posix()}"
        return Place(name=name, path=real, real=real, boundary=self.top)

    def _shipped(self, name: str) -> Place | None:
        """A profile that ships, as the revision has it; None where glmdeploy is not what the repository holds."""
        real = profiles_dir().resolve() / f"{name}.yaml"
        return self._place(real) if self._kind(real) == "blob" else None

    def _kind(self, real: Path) -> str | None:
        if not real.is_relative_to(self.top) or "\n" in str(real):
            return None
        words = self._object(real, "--batch-check").split()
        found = len(words) == 3 and b":" not in words[0] and words[1] in (b"blob", b"tree")
        return words[1].decode() if found else None

    def _object(self, real: Path, how: str = "--batch") -> bytes:
        """What Git says of a path, with the links in it followed: ``HASH KIND SIZE``, and the content on request."""
        inside = real.relative_to(self.top).as_posix()
        asked = f"{self.commit}:{'' if inside == '.' else inside}\n".encode()
        return _run(["cat-file", how, "--follow-symlinks"], asked).stdout


def _git(*arguments: str, why: str) -> str:
    done = _run(list(arguments))
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(why, advice=said[-1] if said else None)
    return done.stdout.decode(errors="replace")


def _run(arguments: list[str], asked: bytes = b"") -> CompletedProcess[bytes]:
    import subprocess  # a side of `diff` seldom is a revision

    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", *arguments], input=asked, capture_output=True, check=False, env=environment, timeout=SECONDS
        )
    except FileNotFoundError:
        raise UsageError("a revision is read with Git, which is not on this machine") from None
    except OSError as error:
        raise UsageError(f"Git cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"Git did not answer within {SECONDS} s") from None
