# Shape of modal-labs/modal-examples, sglang_low_latency.py and very_large_models.py.
import os
import shlex
import subprocess

import modal
import modal.experimental

MINUTES = 60
GPU_TYPE, N_GPUS = "H200", 8
MODEL_NAME = os.environ.get("MODEL", "zai-org/GLM-5.1-FP8")
PORT = 8000
CONFIG = {"tp": N_GPUS, "mem-fraction-static": 0.85, "trust-remote-code": ""}
EXTRA = "--reasoning-parser glm45 --tool-call-parser glm47"


def base_image():
    image = modal.Image.from_registry("lmsysorg/sglang:v0.5.11-cu130").entrypoint([])
    return image


image = base_image().uv_pip_install("nvtx==0.2.13").env({"SGLANG_ENABLE_SPEC_V2": "1"})
image = image.run_commands("mkdir -p /opt/templates").add_local_dir("templates", "/opt/templates")
app = modal.App("glm", image=image)


@app.cls(gpu=f"{GPU_TYPE}:{N_GPUS}", timeout=30 * MINUTES, container_idle_timeout=20 * MINUTES, keep_warm=1,
         region="us-east", enable_memory_snapshot=True, experimental_options={"enable_gpu_snapshot": True})
@modal.experimental.http_server(port=PORT, proxy_regions=["us-east"], exit_grace_period=15)
@modal.concurrent(target_inputs=16)
class Server:
    @modal.enter(snap=True)
    def start(self):
        self.cmd = ["python", "-m", "sglang.launch_server", "--model-path", MODEL_NAME, f"--port={PORT}"]
        for key, value in CONFIG.items():
            self.cmd.append(f"--{key}")
            if value != "":
                self.cmd.append(str(value))
        self.cmd += shlex.split(EXTRA)
        if os.environ.get("DEBUG"):
            self.cmd += ["--log-level", "debug"]
        self.process = subprocess.Popen(self.cmd, env={**os.environ, "NCCL_DEBUG": "WARN"})

    @modal.exit()
    def stop(self):
        self.process.terminate()
