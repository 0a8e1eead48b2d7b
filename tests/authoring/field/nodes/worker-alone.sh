python3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Instruct-0905 --tp 16 --trust-remote-code \
  --dist-init-addr 10.0.0.1:20000 --nnodes 2 --node-rank 1
