# expect: error 4:3 SGLang 0.5.11 has no option `enable-radix-cach`
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 \
  --enable-radix-cach
