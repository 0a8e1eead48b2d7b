# SGLang's documentation of GLM-5.1, B300 with NVFP4 weights (Modal: B200+).
# options: --gpu B200+:8 --sglang-version 0.5.23
# rules: GLM002
python3 -m sglang.launch_server --trust-remote-code \
  --model-path nvidia/GLM-5.1-NVFP4 --quantization modelopt_fp4 --tp 8 \
  --speculative-algorithm EAGLE --speculative-num-steps 3 \
  --speculative-eagle-topk 1 --speculative-num-draft-tokens 4 \
  --mem-fraction-static 0.8
