# expect: error 4:3 this line begins with an option, but the line above it lacks its backslash: `--mem-fraction-static 0.85` never reaches SGLang
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8
  --mem-fraction-static 0.85
