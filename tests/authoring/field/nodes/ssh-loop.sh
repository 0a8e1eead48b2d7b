#!/usr/bin/env bash
set -e
HEAD=10.0.0.10
for rank in 0 1; do
  ssh "node$rank" "cd /srv && nohup python3 -m sglang.launch_server --model-path moonshotai/Kimi-K2-Instruct-0905 --tp 16 --nnodes 2 --node-rank $rank --dist-init-addr $HEAD:20000 --trust-remote-code > /tmp/sglang.log 2>&1 &"
done
