# first node
export NCCL_SOCKET_IFNAME=bond0 GLOO_SOCKET_IFNAME=bond0 TP_SOCKET_IFNAME=bond0
export NCCL_IB_DISABLE=0 NCCL_DEBUG=TRACE
python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 16 --dist-init-addr 11.130.1.53:5000 --nnodes 2 --node-rank 0 --trust-remote-code --host 0.0.0.0 --port 6178

# second node
export NCCL_SOCKET_IFNAME=bond0 GLOO_SOCKET_IFNAME=bond0 TP_SOCKET_IFNAME=bond0
export NCCL_IB_DISABLE=0 NCCL_DEBUG=TRACE
python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 16 --dist-init-addr 11.130.1.53:5000 --nnodes 2 --node-rank 1 --trust-remote-code --host 0.0.0.0 --port 6178
