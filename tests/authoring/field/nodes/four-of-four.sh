python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.1 --tp 16 --nnodes 4 --node-rank 0 --dist-init-addr 10.0.0.1:5757
