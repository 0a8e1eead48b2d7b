:: in a container
docker run --gpus all -p 30000:30000 ^
  lmsysorg/sglang:v0.5.11 ^
  python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp %GPUS%
