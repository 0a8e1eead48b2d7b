pdsh -w gpu[1-2] 'docker exec sglang python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp 16 --nnodes 2 --node-rank %n --dist-init-addr gpu1:5000'
