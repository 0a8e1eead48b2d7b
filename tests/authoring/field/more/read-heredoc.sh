MODEL=Qwen/Qwen3-8B
read -r -d '' CMD <<EOT || true
python3 -m sglang.launch_server --model-path ${MODEL} --tp 2 --port 30000
EOT
echo "$CMD"
eval "$CMD"
