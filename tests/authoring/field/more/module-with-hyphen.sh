python3 -m sglang.launch-server --model-path Qwen/Qwen3-8B --tp 8
