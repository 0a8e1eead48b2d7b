#!/usr/bin/env bash
# InferenceMAX, benchmarks/dsr1_fp4_b200_docker.sh: FP4 weights on four B200.
# options: --gpu B200:4 --sglang-version 0.5.10
MODEL="nvidia/DeepSeek-R1-0528-FP4-V2" PORT=8888
TP=4 EP_SIZE=4
SCHEDULER_RECV_INTERVAL=10
SERVER_LOG=$(mktemp /tmp/server-XXXXXX.log)
PYTHONNOUSERSITE=1 python3 -m sglang.launch_server --model-path $MODEL --host 0.0.0.0 --port $PORT --trust-remote-code \
  --tensor-parallel-size=$TP --data-parallel-size=1 \
  --cuda-graph-max-bs 256 --max-running-requests 256 --mem-fraction-static 0.85 --kv-cache-dtype fp8_e4m3 \
  --chunked-prefill-size 16384 --ep-size $EP_SIZE --quantization modelopt_fp4 \
  --enable-flashinfer-allreduce-fusion --scheduler-recv-interval $SCHEDULER_RECV_INTERVAL \
  --enable-symm-mem --disable-radix-cache --attention-backend trtllm_mla \
  --moe-runner-backend flashinfer_trtllm --stream-interval 10 > $SERVER_LOG 2>&1 &
