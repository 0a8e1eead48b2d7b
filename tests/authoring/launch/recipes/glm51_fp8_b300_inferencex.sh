# InferenceX, pull request 2320: GLM-5.1-FP8 on B300 with the image v0.5.15.post1-cu130 (Modal: B200+).
# options: --gpu B200+:8
docker run --rm --gpus all --ipc=host --shm-size=32g -p 8888:8888 \
  lmsysorg/sglang:v0.5.15.post1-cu130 \
  python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --host 0.0.0.0 --port 8888 \
    --trust-remote-code --tensor-parallel-size 8 --data-parallel-size 1 --expert-parallel-size 1 \
    --tool-call-parser glm47 --reasoning-parser glm45 --kv-cache-dtype fp8_e4m3 --quantization fp8 \
    --attention-backend nsa --nsa-decode-backend trtllm --nsa-prefill-backend trtllm \
    --moe-runner-backend flashinfer_trtllm --cuda-graph-max-bs 64 --max-running-requests 64 \
    --mem-fraction-static 0.85 --chunked-prefill-size 32768 --max-prefill-tokens 32768 \
    --enable-flashinfer-allreduce-fusion --disable-radix-cache --stream-interval 30
