# node 0
python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 16 --nnodes 2 --node-rank 0 --dist-init-addr 10.0.0.1:5000 --mem-fraction-static 0.85
# node 1
python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 16 --nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:5000 --mem-fraction-static 0.8 --disable-cuda-graph
