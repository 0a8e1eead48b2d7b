docker run --gpus all --shm-size 32g -p 8000:8000
    -v ~/.cache/huggingface:/root/.cache/huggingface \
    lmsysorg/sglang:v0.5.12.post1 \
    python3 -m sglang.launch_server --model-path zai-org/GLM-4.6V --tp-size 4 --tool-call-parser glm45
