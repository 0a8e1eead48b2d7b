#!/bin/bash
MODEL_NAME=${SGLANG_MODEL_NAME:-"Qwen/Qwen3-1.7B"}
HOST=${SGLANG_HOST:-$(hostname -i)}
PORT=${SGLANG_PORT:-"40000"}
MEM_FRAC=${SGLANG_MEM_FRAC:-"0.6"}
TP_SIZE=${SGLANG_TP_SIZE:-2}
python -m sglang.launch_server \
    --model-path "$MODEL_NAME" \
    --port "$PORT" \
    --host "$HOST" \
    --grammar-backend outlines \
    --tp-size "$TP_SIZE" \
    --mem-fraction-static "$MEM_FRAC" \
    --enable-memory-saver \
    --enable-mixed-chunk \
    --stream-output \
    --stream-interval 10
