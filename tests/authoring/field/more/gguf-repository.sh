python -m sglang.launch_server --model-path unsloth/Qwen3-30B-A3B-GGUF --load-format gguf --tp 2
