import os
import subprocess

rank = int(os.environ["RANK"])
nodes = 2
subprocess.run(
    ["python", "-m", "sglang.launch_server", "--model-path", "zai-org/GLM-5", "--tp", "16", "--nnodes", str(nodes),
     "--node-rank", str(rank), "--dist-init-addr", os.environ["MASTER_ADDR"] + ":20000"],
    env={**os.environ, "NCCL_SOCKET_IFNAME": "eth0"}, check=True,
)
