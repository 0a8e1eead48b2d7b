$env.SGLANG_LOG_MS = "1"
let model = "Qwen/Qwen3-8B"
python3 -m sglang.launch_server --model-path $model
