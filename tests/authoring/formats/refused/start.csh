#!/bin/tcsh
setenv SGLANG_LOG_MS 1
python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B
