import subprocess
import time
import modal
import modal.experimental

MINUTES = 60
GPU_TYPE, N_GPUS = "H100!", 1
GPU = f"{GPU_TYPE}:{N_GPUS}"
MODEL_NAME = "Qwen/Qwen3-8B-FP8"
MODEL_REVISION = "220b46e3b2180893580a4454f21f22d3ebb187d3"
PORT = 8000
MIN_CONTAINERS = 0
TARGET_INPUTS = 10

sglang_image = modal.Image.from_registry("lmsysorg/sglang:v0.5.6.post2-cu129-amd64-runtime").entrypoint([])
HF_CACHE_VOL = modal.Volume.from_name("huggingface-cache", create_if_missing=True)
HF_CACHE_PATH = "/root/.cache/huggingface"
sglang_image = sglang_image.uv_pip_install("huggingface-hub==0.36.0").env(
    {"HF_HUB_CACHE": HF_CACHE_PATH, "HF_XET_HIGH_PERFORMANCE": "1"}
)
app = modal.App(name="example-sglang-low-latency")


@app.cls(
    image=sglang_image, gpu=GPU, volumes={HF_CACHE_PATH: HF_CACHE_VOL}, region="us-east", min_containers=MIN_CONTAINERS
)
@modal.experimental.http_server(port=PORT, proxy_regions=["us-east"], exit_grace_period=15)
@modal.concurrent(target_inputs=TARGET_INPUTS)
class SGLang:
    @modal.enter()
    def startup(self):
        cmd = [
            "python",
            "-m",
            "sglang.launch_server",
            "--model-path",
            MODEL_NAME,
            "--revision",
            MODEL_REVISION,
            "--served-model-name",
            MODEL_NAME,
            "--host",
            "0.0.0.0",
            "--port",
            f"{PORT}",
            "--tp",
            f"{N_GPUS}",
            "--cuda-graph-max-bs",
            f"{TARGET_INPUTS * 2}",
            "--grammar-backend",
            "xgrammar",
        ]
        cmd += ["--decode-log-interval", "100", "--mem-fraction", "0.8"]
        self.process = subprocess.Popen(cmd)
        wait_ready(self.process)
