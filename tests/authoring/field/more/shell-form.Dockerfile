# syntax=docker/dockerfile:1
ARG SGLANG_TAG=v0.5.14-cu130
FROM lmsysorg/sglang:${SGLANG_TAG} AS base
ENV MODEL_ID=Qwen/Qwen3-30B-A3B-Instruct-2507 \
    TP=2
WORKDIR /workspace
RUN pip install --no-cache-dir hf_transfer
EXPOSE 8000
HEALTHCHECK --interval=30s CMD curl -f http://localhost:8000/health || exit 1
CMD python3 -m sglang.launch_server --model-path ${MODEL_ID} --tp ${TP} \
    --host 0.0.0.0 --port ${PORT:-8000} --tool-call-parser qwen25
