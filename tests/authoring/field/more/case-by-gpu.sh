#!/usr/bin/env bash
GPU_NAME=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
case "$GPU_NAME" in
  *H200*) TP=4; EXTRA=(--attention-backend fa3) ;;
  *B200*) TP=2; EXTRA=(--attention-backend trtllm_mha --moe-runner-backend flashinfer_trtllm) ;;
  *) echo "unsupported"; exit 1 ;;
esac
exec python3 -m sglang.launch_server --model-path MiniMaxAI/MiniMax-M2 --tp-size $TP --ep-size $TP \
  --tool-call-parser minimax-m2 --reasoning-parser minimax-append-think --trust-remote-code \
  --host 0.0.0.0 --port 8000 --mem-fraction-static 0.85 "${EXTRA[@]}"
