# expect: error 3:46 its name does not tell the repository
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path /data/checkpoints/final-2 --tp 8
