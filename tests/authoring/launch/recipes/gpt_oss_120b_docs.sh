# SGLang, docs/basic_usage/gpt_oss.md: the demo tool server. The key of its search is no part of a profile.
# options: --gpu H100:2 --sglang-version 0.5.11
export EXA_API_KEY=YOUR_EXA_KEY
# Optional: run the Python tool locally instead of Docker
export PYTHON_EXECUTION_BACKEND=UV

python3 -m sglang.launch_server \
  --model-path openai/gpt-oss-120b \
  --tool-server demo \
  --tp 2
