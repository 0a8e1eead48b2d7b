# expect: error 4:36 `cluster.nodes` cannot be `64`
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.2 --tp 512 \
  --dist-init-addr a:5000 --nnodes 64 --node-rank 0
