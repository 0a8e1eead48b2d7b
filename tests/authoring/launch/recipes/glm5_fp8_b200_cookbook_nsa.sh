# SGLang cookbook, GLM-5 FP8 on B200, in the NSA spelling.
# options: --gpu B200:8 --sglang-version 0.5.10
python3 -m sglang.launch_server --model-path zai-org/GLM-5-FP8 --tp 8 --ep 1 --quantization fp8 \
  --attention-backend nsa --nsa-decode-backend trtllm --nsa-prefill-backend trtllm \
  --moe-runner-backend flashinfer_trtllm --enable-flashinfer-allreduce-fusion \
  --mem-fraction-static 0.9
