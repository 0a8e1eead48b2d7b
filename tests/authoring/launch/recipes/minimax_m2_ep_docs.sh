# SGLang, docs/basic_usage/minimax_m2.md: eight GPUs with expert parallelism.
# options: --gpu H200:8 --sglang-version 0.5.23
python -m sglang.launch_server --model-path MiniMaxAI/MiniMax-M2 --tp-size 8 --ep-size 8 \
    --tool-call-parser minimax-m2 --reasoning-parser minimax-append-think \
    --host 0.0.0.0 --trust-remote-code --port 8000 --mem-fraction-static 0.85
