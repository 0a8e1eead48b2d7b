docker run -itd --name sgl --gpus all --ipc=host --network host -v /data/models:/models lmsysorg/sglang:v0.5.13.post1 /bin/bash
docker exec -it sgl bash -c "export SGLANG_TORCH_PROFILER_DIR=/tmp/p; python3 -m sglang.launch_server --model-path /models/Qwen3-Next-80B-A3B-Instruct --tp 4 --port 8000"
