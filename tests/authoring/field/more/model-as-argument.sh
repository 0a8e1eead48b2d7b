#!/bin/bash
# Launch SGLang inference server for DeepSeek-Prover-V2-7B.
#   PORT=30000 TP=2 ./scripts/start_sglang.sh
set -euo pipefail
MODEL_PATH="${1:-deepseek-ai/DeepSeek-Prover-V2-7B}"
PORT="${PORT:-30000}"
TP="${TP:-1}"
MEM_FRACTION="${MEM_FRACTION:-0.65}"
echo "  Model:  ${MODEL_PATH}"
exec python3 -m sglang.launch_server \
    --model-path "${MODEL_PATH}" \
    --port "${PORT}" \
    --tp "${TP}" \
    --mem-fraction-static "${MEM_FRACTION}" \
    --trust-remote-code \
    "${@:2}"
