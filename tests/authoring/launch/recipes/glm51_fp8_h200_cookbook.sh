# SGLang cookbook, GLM-5.1 generator of April 2026, H200.
# options: --gpu H200:8 --sglang-version 0.5.11
SGLANG_ENABLE_SPEC_V2=1 sglang serve --model-path zai-org/GLM-5.1-FP8 --tp 8 \
  --reasoning-parser glm45 --tool-call-parser glm47 \
  --speculative-algorithm EAGLE --speculative-num-steps 3 \
  --speculative-eagle-topk 1 --speculative-num-draft-tokens 4 \
  --mem-fraction-static 0.85
