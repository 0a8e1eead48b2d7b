# expect: error 3:64 the single quote that opens here is never closed
# options: --sglang-version 0.5.11
python3 -m sglang.launch_server --model-path a/b --log-level x 'y
