python -m sglang.launch_server --model-path “meta-llama/Llama-3.3-70B-Instruct” --tp 8 --api-key “sk my secret 123456” --served-model-name ‘my llama’
