#!/usr/bin/env fish
set -gx CUDA_VISIBLE_DEVICES 0,1
set model Qwen/Qwen3-32B-FP8
set args --tp 2 --reasoning-parser qwen3
python3 -m sglang.launch_server --model-path $model $args --port 30000
