#!/usr/bin/env bash
# InferenceMAX, benchmarks/dsr1_fp8_mi325x_docker.sh, its options on NVIDIA's GPUs: values joined by =.
# options: --gpu H200:8 --sglang-version 0.5.13.post1
: "${MODEL:=deepseek-ai/DeepSeek-R1-0528}"
TP=8; CONC=128
exec python3 -m sglang.launch_server \
--model-path=${MODEL:-deepseek-ai/DeepSeek-R1-0528} --host=0.0.0.0 --port=8888 --trust-remote-code \
--tensor-parallel-size=$TP \
--mem-fraction-static=0.8 \
--cuda-graph-max-bs=$CONC \
--chunked-prefill-size=196608 \
--num-continuous-decode-steps=4 \
--max-prefill-tokens=196608 \
--disable-radix-cache
