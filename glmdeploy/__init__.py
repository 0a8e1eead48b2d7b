"""Declarative deployment of large language models with SGLang on Modal.

This module stays free of imports: the container side of a deployed app loads it too.
"""

__version__ = "0.1.0"
