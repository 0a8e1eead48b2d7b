NNODES=1
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8 --nnodes $NNODES --node-rank 0 --dist-init-addr 127.0.0.1:5000
