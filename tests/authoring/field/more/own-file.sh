cd /sgl-workspace/sglang/python && python3 sglang/launch_server.py --model-path Qwen/Qwen3-8B --tp 8
