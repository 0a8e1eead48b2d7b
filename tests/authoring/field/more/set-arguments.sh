set -- --model-path Qwen/Qwen3-8B --tp 8
if [ -n "$API_KEY" ]; then set -- "$@" --api-key "$API_KEY"; fi
exec python3 -m sglang.launch_server "$@"
