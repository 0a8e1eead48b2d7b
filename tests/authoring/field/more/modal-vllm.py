import modal

vllm_image = modal.Image.debian_slim(python_version="3.12").uv_pip_install("vllm==0.13.0")
app = modal.App("x")


@app.function(image=vllm_image, gpu="H100:1")
@modal.web_server(port=8000)
def serve():
    import subprocess

    cmd = ["vllm", "serve", "Qwen/Qwen3-8B", "--port", "8000", "--enforce-eager"]
    subprocess.Popen(" ".join(cmd), shell=True)
