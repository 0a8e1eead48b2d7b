python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp-size 16 \
  --nnodes $WORLD_NODES --node-rank $RANK --dist-init-addr $MASTER_ADDR:$MASTER_PORT
