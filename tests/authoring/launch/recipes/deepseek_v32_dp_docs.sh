# SGLang, docs/basic_usage/deepseek_v32.md: tensor parallelism with data-parallel attention.
# options: --gpu H200:8 --sglang-version 0.5.10
python -m sglang.launch_server --model deepseek-ai/DeepSeek-V3.2-Exp --tp 8 --dp 8 --enable-dp-attention
