# expect: error 3:11 `sglang.env.NOTE` cannot be
# options: --sglang-version 0.5.11 --gpu H200:8
env NOTE='a
b' python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8
