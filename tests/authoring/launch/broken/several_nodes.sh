# expect: error 4:36 this is one of 2 nodes
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.2 --tp 8 \
  --dist-init-addr a:5000 --nnodes 2 --node-rank 0
