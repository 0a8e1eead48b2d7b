python3 -m sglang.launch_server --model-path $HOME/models/Qwen3-8B --tp 8
