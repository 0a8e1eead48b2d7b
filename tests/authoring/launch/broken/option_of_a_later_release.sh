# expect: error 3:66 has no option `startup-weight-load-mode`
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --startup-weight-load-mode lazy --tp 8
