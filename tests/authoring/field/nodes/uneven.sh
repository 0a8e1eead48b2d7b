python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 12 --nnodes 8 --node-rank 0 --dist-init-addr a:5000
