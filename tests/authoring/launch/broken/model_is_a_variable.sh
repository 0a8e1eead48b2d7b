# expect: error 3:46 the model is $MODEL, which is not in this text
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path $MODEL --tp 8
