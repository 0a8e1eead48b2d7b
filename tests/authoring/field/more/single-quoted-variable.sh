MODEL='zai-org/GLM-4.6'
docker run --gpus all -p 30000:30000 --ipc=host lmsysorg/sglang:v0.5.10 bash -c 'python3 -m sglang.launch_server --model-path $MODEL --tp 8 --host 0.0.0.0'
