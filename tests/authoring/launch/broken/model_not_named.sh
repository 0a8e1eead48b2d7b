# expect: error 3:1 the launch names no model
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --tp 8
