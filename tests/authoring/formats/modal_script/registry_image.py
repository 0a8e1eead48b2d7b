# Shape of tensorzero/tensorzero, sgl_inference.py.
import modal

cuda_version = "12.8.0"
tag = f"{cuda_version}-devel-ubuntu22.04"
sgl_image = (
    modal.Image.from_registry(f"nvidia/cuda:{tag}", add_python="3.12")
    .apt_install("numactl")
    .pip_install("sglang[all]==0.5.10", "huggingface_hub[hf_transfer]==0.34")
    .env({"HF_HUB_ENABLE_HF_TRANSFER": "1"})
)
MODEL_NAME = "Qwen/Qwen2.5-1.5B-Instruct"
MINUTES = 60
SGLANG_PORT = 8000
N_GPU = 1
hub = modal.Volume.from_name("huggingface-cache", create_if_missing=True)
app = modal.App(name="sglang-inference")


@app.function(
    image=sgl_image,
    gpu=f"L40S:{N_GPU}",
    scaledown_window=5 * MINUTES,
    volumes={"/root/.cache/huggingface": hub, "/root/.cache/sglang": modal.Volume.from_name("kernels")},
    secrets=[modal.Secret.from_name("ro-huggingface-secret"), modal.Secret.from_name("other")],
    max_containers=1,
    retries=3,
)
@modal.concurrent(max_inputs=20)
@modal.web_server(port=SGLANG_PORT, startup_timeout=2 * MINUTES)
def sglang_inference():
    import os
    import subprocess

    os.environ["CUDA_HOME"] = "/usr/local/cuda"
    cmd = [
        "python", "-m", "sglang.launch_server",
        "--disable-cuda-graph",
        "--model-path", MODEL_NAME,
        "--tool-call-parser", "qwen25",
        "--port", str(SGLANG_PORT),
    ]
    subprocess.Popen(" ".join(cmd), shell=True)
