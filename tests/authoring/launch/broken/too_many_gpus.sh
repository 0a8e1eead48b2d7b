# expect: error 4:3 the launch is for 16 GPUs
# options: --sglang-version 0.5.11
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 \
  --tp 16
