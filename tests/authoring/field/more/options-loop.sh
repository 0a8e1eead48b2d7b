#!/bin/bash
MODEL="Qwen/Qwen3-8B"
TP=1
PORT=30000
EXTRA=""
while [[ $# -gt 0 ]]; do
  case $1 in
    --model) MODEL="$2"; shift 2;;
    --tp) TP="$2"; shift 2;;
    --port) PORT="$2"; shift 2;;
    *) EXTRA="$EXTRA $1"; shift;;
  esac
done
python -m sglang.launch_server --model-path "$MODEL" --tp "$TP" --port "$PORT" $EXTRA
