docker run --rm \
  --name glm-5.2 \
  --ipc=host \
  --cap-add=SYS_NICE \
  --runtime nvidia \
  --gpus device=0 \
  -e HF_HUB_OFFLINE=1 \
  -e SGLANG_ENABLE_JIT_DEEPGEMM=1 \
  -p 8000:8000 \
  sglang-kt:glm \
  python -m sglang.launch_server \
    --model-path /models/GLM-5.2 \
    --kt-weight-path /models/GLM-5.2-FP8 \
    --served-model-name glm-5.2 \
    --host 0.0.0.0 \
    --port 8000 \
    --mem-fraction-static 0.96 \
    --kt-cpuinfer 24 \
    --kt-threadpool-count 1 \
    --kt-num-gpu-experts 8 \
    --kt-method FP8 \
    --chunked-prefill-size 16384
