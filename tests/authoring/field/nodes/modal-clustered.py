import subprocess

import modal
import modal.experimental

app = modal.App("kimi")
image = modal.Image.from_registry("lmsysorg/sglang:v0.5.11", add_python="3.12")
N_NODES = 2


@app.function(image=image, gpu="H200:8", timeout=3600, scaledown_window=600)
@modal.experimental.clustered(size=N_NODES, rdma=True)
@modal.web_server(8000, startup_timeout=1800)
def serve():
    info = modal.experimental.get_cluster_info()
    rank, head = info.rank, info.container_ips[0]
    cmd = [
        "python3", "-m", "sglang.launch_server", "--model-path", "moonshotai/Kimi-K2-Instruct-0905",
        "--tp", str(8 * N_NODES), "--nnodes", str(N_NODES), "--node-rank", str(rank),
        "--dist-init-addr", f"{head}:20000", "--port", "8000", "--trust-remote-code",
    ]
    subprocess.Popen(cmd)
