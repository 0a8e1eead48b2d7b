ARGS=(--model-path openai/gpt-oss-120b --tp 4)
ARGS+=(--reasoning-parser gpt-oss)
ARGS+=(--tool-call-parser gpt-oss)
if [[ "${EAGLE:-0}" == "1" ]]; then
  ARGS+=(--speculative-algorithm EAGLE3 --speculative-draft-model-path lmsys/EAGLE3-gpt-oss-120b-bf16 --speculative-num-steps 3 --speculative-eagle-topk 1 --speculative-num-draft-tokens 4)
fi
python3 -m sglang.launch_server "${ARGS[@]}" "$@"
