python -m sglang.launch_server —model-path deepseek-ai/DeepSeek-R1 —tp 8 —trust-remote-code —api-key sk-live-1234567890abcdef
