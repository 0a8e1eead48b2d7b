@echo off
set MODEL=Qwen/Qwen3-4B
docker run --gpus all -p 30000:30000 ^
  -v %USERPROFILE%\.cache\huggingface:/root/.cache/huggingface ^
  --env "HF_TOKEN=%HF_TOKEN%" ^
  lmsysorg/sglang:v0.5.16 ^
  python3 -m sglang.launch_server --model-path %MODEL% --host 0.0.0.0 --port 30000
pause
