# SGLang, docs/basic_usage/deepseek_v32.md: expert parallelism with data-parallel attention and MTP.
# options: --gpu H200:8 --sglang-version 0.5.10
python -m sglang.launch_server --model deepseek-ai/DeepSeek-V3.2-Exp --tp 8 --ep 8 --dp 8 \
  --enable-dp-attention --speculative-algorithm EAGLE --speculative-num-steps 3 \
  --speculative-eagle-topk 1 --speculative-num-draft-tokens 4
