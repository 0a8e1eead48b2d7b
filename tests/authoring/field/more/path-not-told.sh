python3 -m sglang.launch_server --model-path "$MODEL_DIR/$MODEL" --tp 8
