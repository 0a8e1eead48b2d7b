# expect: error 5:3 the comment above it stands inside the continued command and ends it: `--mem-fraction-static 0.85` never reaches SGLang
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 \
  # --enable-metrics \
  --mem-fraction-static 0.85
