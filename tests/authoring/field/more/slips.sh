python -m sglang.launch_server --model-path Qwen/Qwen3-32B -tp 8 --mem-fraction-static 0,8 --context-length 128k, --enable-metric --reasonning-parser qwen3 --disable-cudagraph --port: 8000
