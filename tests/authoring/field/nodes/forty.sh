python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 320 --nnodes 40 --node-rank 0 --dist-init-addr a:5000
