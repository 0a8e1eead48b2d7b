# 请确保安装了 sglang
SGLANG_USE_MODELSCOPE=true python -m sglang.launch_server \
    --model-path /home/w/.cache/modelscope/hub/models/Qwen/Qwen2.5-VL-7B-Instruct \
    --port 30000 \
    --tokenizer-path /home/w/.cache/modelscope/hub/models/Qwen/Qwen2.5-VL-7B-Instruct \
    --mem-fraction-static 0.8 \
    --chat-template qwen2-vl
