# Modal's examples, 06_gpu_and_ml/llm-serving/sglang_low_latency.py: two H100, as a command.
# options: --gpu H100!:2
docker run --gpus 2 -e HF_HUB_CACHE=/root/.cache/huggingface -e HF_XET_HIGH_PERFORMANCE=1 \
  -e SGLANG_ENABLE_JIT_DEEPGEMM=1 -v huggingface-cache:/root/.cache/huggingface \
  lmsysorg/sglang:v0.5.9-cu129-amd64-runtime \
  python -m sglang.launch_server --model-path Qwen/Qwen3.5-35B-A3B-FP8 \
    --revision 0b2752837483aa34b3db6e83e151b150c0e00e49 \
    --served-model-name Qwen/Qwen3.5-35B-A3B-FP8 --host 0.0.0.0 --port 8000 --tp 2 \
    --speculative-algorithm EAGLE --speculative-num-steps 3 \
    --speculative-eagle-topk 1 --speculative-num-draft-tokens 4
