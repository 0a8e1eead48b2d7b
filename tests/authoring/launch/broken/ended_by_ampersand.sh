# expect: error 4:3 the command above it is already at its end
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 > log 2>&1 &
  --mem-fraction-static 0.85
