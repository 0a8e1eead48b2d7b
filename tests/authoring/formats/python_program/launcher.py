#!/usr/bin/env python3
"""Starts a server for tests."""
import os
import subprocess
import sys
from pathlib import Path

MODELS = Path("/models")
MODEL = MODELS / "Qwen3-8B"
args = {"port": 30000}
os.environ.setdefault("SGLANG_LOG_MS", "1")


def main(tp=2):
    cmd = [sys.executable, "-m", "sglang.launch_server",
           "--model-path", str(MODEL), "--served-model-name", "Qwen/Qwen3-8B",
           "--tp", str(tp), "--port", "{}".format(args["port"])]
    subprocess.run(cmd, check=True, cwd="/tmp")


if __name__ == "__main__":
    main()
