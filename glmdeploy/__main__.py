"""``python -m glmdeploy``."""

from glmdeploy.cli import entry

entry()
