"""What tells the preflight that this is not SGLang, and judges arguments in its place: the catalog of the release."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from glmdeploy.local.standin.settings import VERSION_VARIABLE
from glmdeploy.sglang import catalog
from glmdeploy.sglang.parser import build_parser

if TYPE_CHECKING:
    import argparse


def release() -> str:
    """The release that is imitated: that of the plan."""
    return os.environ.get(VERSION_VARIABLE) or catalog.versions()[-1]


def parser() -> argparse.ArgumentParser:
    """A parser of the release's options."""
    return build_parser(catalog.load(release()))
