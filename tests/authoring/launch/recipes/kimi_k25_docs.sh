# SGLang, docs/basic_usage/kimi_k2_5.md: one node of H200.
# options: --gpu H200:8 --sglang-version 0.5.10
python3 -m sglang.launch_server \
  --model-path moonshotai/Kimi-K2.5 \
  --tp 8 \
  --trust-remote-code \
  --tool-call-parser kimi_k2 \
  --reasoning-parser kimi_k2
