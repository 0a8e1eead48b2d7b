# expect: error 3:1 the line above the launch lacks its backslash: `docker run --gpus all` never reaches the launch
# options: --sglang-version 0.5.11 --gpu H200:8
docker run --gpus all
  -p 30000:30000 lmsysorg/sglang:v0.5.11 python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8
