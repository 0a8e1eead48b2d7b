python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 16
