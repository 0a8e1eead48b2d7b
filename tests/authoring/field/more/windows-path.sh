python -m sglang.launch_server --model-path "C:\models\Qwen\Qwen3-8B" --tp 8
