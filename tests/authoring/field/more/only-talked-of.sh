echo "Run: python -m sglang.launch_server --model-path X"
pkill -f sglang.launch_server
