for tp in {1,2,4,8}; do python -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp $tp --port $((30000+tp)); done
