python3 -m sglang.launch_server --Model-Path Qwen/Qwen3-8B --TP 8
