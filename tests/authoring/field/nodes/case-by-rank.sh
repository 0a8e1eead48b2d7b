#!/bin/bash
case "$NODE_RANK" in
  0) python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 16 --nnodes 2 --node-rank 0 --dist-init-addr $HEAD:5000 --api-key $API_KEY ;;
  1) python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 16 --nnodes 2 --node-rank 1 --dist-init-addr $HEAD:5000 ;;
esac
