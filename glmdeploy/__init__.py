"""Declarative deployment of large language models with SGLang on Modal.

This module imports nothing: the container side of a deployed app loads it too. The Python interface (docs/python.md) is
imported when it is first used.
"""

__version__ = "0.2.0"

_ERRORS = ("DeployError", "GlmdeployError", "ProfileError")
_INTERFACE = ("Applied", "apply", "check", "destroy", "load", "make_plan", "preview", "rollback", "status", "verify")

__all__ = [*_INTERFACE, *_ERRORS, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name not in _INTERFACE and name not in _ERRORS:
        raise AttributeError(f"module 'glmdeploy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("glmdeploy.errors" if name in _ERRORS else "glmdeploy.api"), name)
