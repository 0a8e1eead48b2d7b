#!/bin/bash
HOSTS=(10.0.0.1 10.0.0.2)
GPUS_PER_NODE=8
WORLD=$((GPUS_PER_NODE * ${#HOSTS[@]}))
for i in "${!HOSTS[@]}"; do
  ssh ${HOSTS[$i]} python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp $((GPUS_PER_NODE * 2)) \
    --nnodes ${#HOSTS[@]} --node-rank $i --dist-init-addr ${HOSTS[0]}:5000 --max-running-requests $((WORLD * (4 + 4))) &
done
