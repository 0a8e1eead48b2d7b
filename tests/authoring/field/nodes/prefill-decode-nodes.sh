# prefill 0
python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3-0324 --disaggregation-ib-device mlx5_0 --disaggregation-mode prefill --host 10.0.0.1 --port 30000 --trust-remote-code --dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank 0 --tp-size 16 --dp-size 8 --enable-dp-attention --mem-fraction-static 0.8
# prefill 1
python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3-0324 --disaggregation-ib-device mlx5_0 --disaggregation-mode prefill --host 10.0.0.2 --port 30000 --trust-remote-code --dist-init-addr 10.0.0.1:5000 --nnodes 2 --node-rank 1 --tp-size 16 --dp-size 8 --enable-dp-attention --mem-fraction-static 0.8
# decode 0
python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3-0324 --disaggregation-ib-device mlx5_0 --disaggregation-mode decode --host 10.0.0.3 --port 30001 --trust-remote-code --dist-init-addr 10.0.0.3:5000 --nnodes 2 --node-rank 0 --tp-size 16 --dp-size 8 --enable-dp-attention --mem-fraction-static 0.8 --max-running-requests 128
# decode 1
python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3-0324 --disaggregation-ib-device mlx5_0 --disaggregation-mode decode --host 10.0.0.4 --port 30001 --trust-remote-code --dist-init-addr 10.0.0.3:5000 --nnodes 2 --node-rank 1 --tp-size 16 --dp-size 8 --enable-dp-attention --mem-fraction-static 0.8 --max-running-requests 128
