"""Where the package's data files are: in an installed wheel, or in a checkout of the repository."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def schemas_dir() -> Path:
    """The folder of the profile's JSON schema and of the option catalogs (``sglang/<version>.json``)."""
    return _data_dir("schemas")


def profiles_dir() -> Path:
    """The folder of the profiles that ship with the package."""
    return _data_dir("profiles")


def _data_dir(name: str) -> Path:
    # A wheel carries the repository's top-level folders inside the package (pyproject.toml, force-include);
    # a checkout, editable installs included, has them beside it.
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
