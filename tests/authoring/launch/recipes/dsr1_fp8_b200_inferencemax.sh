#!/usr/bin/env bash
# InferenceMAX, benchmarks/dsr1_fp8_b200_docker.sh: a value that a condition sets.
# options: --gpu B200:8 --sglang-version 0.5.11
MODEL=deepseek-ai/DeepSeek-R1-0528
PORT=8888
TP=8
CONC=32
export SGL_ENABLE_JIT_DEEPGEMM=false
export SGLANG_ENABLE_FLASHINFER_GEMM=true
if [[ $CONC -ge 16 ]]; then
  SCHEDULER_RECV_INTERVAL=30
else
  SCHEDULER_RECV_INTERVAL=10
fi
echo "SCHEDULER_RECV_INTERVAL: $SCHEDULER_RECV_INTERVAL, CONC: $CONC"
ps aux
set -x
PYTHONNOUSERSITE=1 python3 -m sglang.launch_server --model-path=$MODEL --host=0.0.0.0 --port=$PORT \
  --tensor-parallel-size=$TP --data-parallel-size=1 \
  --cuda-graph-max-bs 128 --max-running-requests 128 \
  --mem-fraction-static 0.82 --kv-cache-dtype fp8_e4m3 \
  --chunked-prefill-size 32768 --max-prefill-tokens 32768 \
  --enable-flashinfer-allreduce-fusion --scheduler-recv-interval $SCHEDULER_RECV_INTERVAL \
  --disable-radix-cache --attention-backend trtllm_mla --stream-interval 30 --quantization fp8
