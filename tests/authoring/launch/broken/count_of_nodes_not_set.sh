# expect: error 4:36 how many nodes the launch has is not known
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.2 --tp 16 \
  --dist-init-addr a:5000 --nnodes $NNODES --node-rank 0
