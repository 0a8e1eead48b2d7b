#!/usr/bin/env bash
# InferenceX, GLM-5 FP8 on B200 with MTP; the variables that the harness sets are assigned here.
# options: --gpu B200:8 --sglang-version 0.5.11
# rules: GLM001
MODEL=zai-org/GLM-5-FP8
TP=8
CONC=64
PORT=${PORT:-8888}
SERVER_LOG=$(mktemp /tmp/server-XXXXXX.log)

export SGLANG_ENABLE_JIT_DEEPGEMM=1
export SGLANG_ENABLE_SPEC_V2=1

set -x
python3 -m sglang.launch_server --model-path=$MODEL --host=0.0.0.0 --port=$PORT --trust-remote-code \
  --tensor-parallel-size=$TP --data-parallel-size 1 --expert-parallel-size 1 \
  --tool-call-parser glm47 --reasoning-parser glm45 \
  --kv-cache-dtype fp8_e4m3 --quantization fp8 \
  --attention-backend nsa --nsa-decode-backend trtllm --nsa-prefill-backend trtllm \
  --moe-runner-backend flashinfer_trtllm \
  --cuda-graph-max-bs $CONC --max-running-requests $CONC \
  --mem-fraction-static 0.85 --chunked-prefill-size 32768 --max-prefill-tokens 32768 \
  --enable-flashinfer-allreduce-fusion --disable-radix-cache --stream-interval 30 \
  --speculative-algorithm EAGLE --speculative-num-steps 3 \
  --speculative-eagle-topk 1 --speculative-num-draft-tokens 4 \
  --model-loader-extra-config '{"enable_multithread_load": true}' > "$SERVER_LOG" 2>&1 &

SERVER_PID=$!
wait_for_server_ready --port "$PORT" --server-log "$SERVER_LOG" --server-pid "$SERVER_PID"
