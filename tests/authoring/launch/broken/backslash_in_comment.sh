# expect: error 4:3 the backslash above it stands in a comment, and continues nothing
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 # eight \
  --mem-fraction-static 0.85
