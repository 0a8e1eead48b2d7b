# expect: error 3:46 the ${ that opens here is never closed
# options: --sglang-version 0.5.11
python3 -m sglang.launch_server --model-path ${MODEL:-a/b
