#!/bin/bash
# InferenceX-like benchmark
start_server() {
  local model=$1
  local tp=$2
  python3 -m sglang.launch_server \
    --model-path "$model" \
    --tp-size "$tp" \
    --host 0.0.0.0 \
    --port "${PORT:-30000}" \
    --mem-fraction-static 0.85 &
  SERVER_PID=$!
}
for m in Qwen/Qwen3-8B Qwen/Qwen3-14B; do
  start_server "$m" 2
  python3 -m sglang.bench_serving --backend sglang --num-prompts 1000
  kill $SERVER_PID
done
