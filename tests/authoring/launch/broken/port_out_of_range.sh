# expect: error 3:73 `server.port` cannot be `70000`
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --port 70000
