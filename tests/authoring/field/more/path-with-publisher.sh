MODEL_DIR=${MODEL_DIR:?set it}
python3 -m sglang.launch_server --model-path "$MODEL_DIR/zai-org/GLM-4.6-FP8" --served-model-name $(basename "$MODEL_DIR") --tp 8 --chat-template $MODEL_DIR/t.jinja
