# InferenceX, GLM-5 FP8 on H200 with MTP and the image v0.5.12-cu130: no backends of Blackwell's.
# options: --gpu H200:8
docker run --gpus all --network host -e SGLANG_ENABLE_SPEC_V2=1 lmsysorg/sglang:v0.5.12-cu130 \
  bash -c "python3 -m sglang.launch_server --model-path zai-org/GLM-5-FP8 --host 0.0.0.0 --port 8888 \
    --trust-remote-code --tensor-parallel-size 8 --mem-fraction-static 0.85 \
    --speculative-algorithm EAGLE --speculative-num-steps 3 --speculative-eagle-topk 1 \
    --speculative-num-draft-tokens 4"
