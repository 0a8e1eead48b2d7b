export MODEL = Qwen/Qwen3-32B
TP =2
PORT= "8000"
CUDA_VISIBLE_DEVICES= python -m sglang.launch_server --model-path $MODEL --tp $TP --port $PORT
