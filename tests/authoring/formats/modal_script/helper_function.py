# Shape of a public script: the command is built by a function, the image is debian_slim.
import subprocess
import modal

image = modal.Image.debian_slim(python_version="3.11").pip_install("sglang[all]==0.5.12.post1", "transformers")
app = modal.App("helper")


def command(model: str, tp: int = 1, *extra) -> list[str]:
    words = ["python3", "-m", "sglang.launch_server", "--model-path", model]
    if tp > 1:
        words += ["--tp", str(tp)]
    return words


def start(model):
    return subprocess.Popen(command(model, tp=4), shell=False)


@app.function(image=image, gpu=modal.gpu.A100(size="80GB", count=4), cpu=8, memory=65536)
def serve():
    start("Qwen/Qwen3-32B")
