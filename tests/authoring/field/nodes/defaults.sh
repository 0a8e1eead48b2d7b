#!/bin/bash
NNODES=${NNODES:-2}
NODE_RANK=${NODE_RANK:-0}
MASTER_ADDR=${MASTER_ADDR:?set it to the first node}
python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp-size 16 --nnodes "$NNODES" --node-rank "$NODE_RANK" --dist-init-addr "$MASTER_ADDR:20000"
