# expect: error 3:74 a blank stands behind this backslash, which therefore does not continue the line; `--mem-fraction-static 0.85` never reaches SGLang
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 \ 
  --mem-fraction-static 0.85
