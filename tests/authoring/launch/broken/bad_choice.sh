# expect: error 3:111 `kv-cache-dtype` cannot be `fp8`
# options: --sglang-version 0.5.11 --gpu H200:8
KV_DTYPE=fp8 TP=8; python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp $TP --kv-cache-dtype=$KV_DTYPE
