MODEL = "Qwen/Qwen3-8B"
TP=2
python -m sglang.launch_server --model-path $MODEL --tp $TP
