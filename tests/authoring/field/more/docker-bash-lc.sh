IMAGE=${IMAGE:-lmsysorg/sglang:v0.5.12.post1}
docker rm -f sgl 2>/dev/null || true
docker run -d --name sgl --gpus all --network host --ipc host --shm-size 64g \
  -e NCCL_IB_DISABLE=1 -e "SGLANG_TOOL_STRICT_LEVEL=1" \
  --ulimit memlock=-1 --ulimit stack=67108864 \
  -v /mnt/nvme/models:/models:ro \
  "$IMAGE" \
  bash -lc '
    set -e
    pip install -q "transformers>=4.57" --break-system-packages
    exec python3 -m sglang.launch_server \
      --model-path /models/zai-org/GLM-4.7-FP8 \
      --served-model-name glm-4.7 \
      --tp-size 8 --tool-call-parser glm47 --reasoning-parser glm45 \
      --host 0.0.0.0 --port 8000
  '
