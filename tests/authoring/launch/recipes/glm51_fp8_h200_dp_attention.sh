# SGLang cookbook, GLM-5.1 generator of April 2026, H200 with the optional data-parallel attention.
# options: --gpu H200:8 --sglang-version 0.5.11
export SGLANG_ENABLE_SPEC_V2=1
sglang serve --model-path zai-org/GLM-5.1-FP8 --tp 8 --dp 8 --enable-dp-attention \
  --reasoning-parser glm45 --tool-call-parser glm47 --mem-fraction-static 0.85
