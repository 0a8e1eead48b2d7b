import os, subprocess, modal

LLM_MODEL = os.getenv("LLM_MODEL", "openai/gpt-oss-20b")
TP = os.getenv("TP", "1")
SERVE_ARGS = os.getenv("SERVE_ARGS", "")
img = (
    modal.Image.from_registry("nvcr.io/nvidia/cuda:12.9.1-cudnn-devel-ubuntu22.04", add_python="3.10")
    .apt_install("git")
    .uv_pip_install("sglang==0.5.12.post1")
)
app = modal.App("openai_gpt_oss_sglang", image=img)


@app.function(
    gpu=["H100", "A100-80GB"],
    timeout=86400,
    max_containers=1,
    secrets=[modal.Secret.from_dict({"HF_TOKEN": "hf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})],
)
@modal.web_server(30000, startup_timeout=1200)
def serve():
    subprocess.Popen(
        f"python -m sglang.launch_server --model-path {LLM_MODEL} --tp {TP} --port 30000 --host 0.0.0.0 {SERVE_ARGS}".split()
    )
