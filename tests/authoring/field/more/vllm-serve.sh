vllm serve zai-org/GLM-4.5-Air-FP8 \
    --tensor-parallel-size 4 \
    --tool-call-parser glm45 \
    --reasoning-parser glm45 \
    --enable-auto-tool-choice \
    --served-model-name glm-4.5-air --kv-cache-dtype fp8 --max-num-seqs 32 --speculative-config.method mtp
