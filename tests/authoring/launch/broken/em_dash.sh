# expect: error 3:73 an em dash (U+2014) stands in front of this word
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 —mem-fraction-static 0.85
