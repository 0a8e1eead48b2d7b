#!/usr/bin/env bash
HOSTS=(gpu-a gpu-b gpu-c gpu-d)
NNODES=${#HOSTS[@]}
MASTER=${HOSTS[0]}
rank=0
for host in "${HOSTS[@]}"; do
  ssh "$host" "python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 32 --nnodes 4 --node-rank $rank --dist-init-addr $MASTER:5757" &
  rank=$((rank + 1))
done
wait
