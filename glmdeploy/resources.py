"""Names that several rooms must agree on, and where the package's data files are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

DIGEST_TAG = "glmdeploy-digest"
PROFILE_TAG = "glmdeploy-profile"
VERSION_TAG = "glmdeploy-version"
"""Tags of a deployed app: the digest of its plan, the profile's name, glmdeploy's version."""

_PACKAGE = Path(__file__).resolve().parent


def schemas_dir() -> Path:
    """The folder of the profile's JSON schema and of the option catalogs (``sglang/<version>.json``)."""
    return _data_dir("schemas")


def profiles_dir() -> Path:
    """The folder of the profiles that ship with the package."""
    return _data_dir("profiles")


def checkout() -> Path | None:
    """The root of the checkout that this package runs in; None where it is installed."""
    root = schemas_dir().resolve().parent
    return root if (root / "pyproject.toml").is_file() else None


@cache
def _data_dir(name: str) -> Path:
    # A wheel carries the repository's top-level folders inside the package (pyproject.toml, force-include);
    # a checkout, editable installs included, has them beside it.
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
