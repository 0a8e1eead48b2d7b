# SGLang, docs/basic_usage/qwen3_5.md: parsers, with the tips on loading that the page gives.
# options: --gpu B200:8 --sglang-version 0.5.14
python3 -m sglang.launch_server \
    --model-path Qwen/Qwen3.5-397B-A17B \
    --tp 8 \
    --trust-remote-code \
    --watchdog-timeout 1200 \
    --model-loader-extra-config '{"enable_multithread_load": true}' \
    --reasoning-parser qwen3 \
    --tool-call-parser qwen3_coder
