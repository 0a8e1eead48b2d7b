python -m sglang.launch_server --model-path meta-llama/Llama-3.1-8B-Instruct --enable-lora --lora-paths a=org/one a=org/two --max-loras-per-batch 2 --tp 8
