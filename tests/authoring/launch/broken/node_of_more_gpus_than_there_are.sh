# expect: error 3:72 the launch is for 64 GPUs on 2 nodes, but a container on Modal has 8 at most
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.2 --tp 64 --nnodes 2 --node-rank 0
