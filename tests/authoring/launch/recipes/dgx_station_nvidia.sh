# NVIDIA's playbook sglang-setup for DGX Station: one device of several, and `sglang serve` in the image.
# options: --gpu B200+:1 --sglang-version 0.5.16
docker run -d \
  --name sglang-server \
  --gpus '"device=1"' \
  --ipc host \
  --ulimit memlock=-1 \
  --ulimit stack=67108864 \
  -p 30000:30000 \
  -e HF_TOKEN="$HF_TOKEN" \
  -v "$HOME/.cache/huggingface/hub:/root/.cache/huggingface/hub" \
  lmsysorg/sglang:latest-cu130 \
  sglang serve --model-path "Qwen/Qwen3-8B" \
    --host 0.0.0.0 \
    --port 30000
