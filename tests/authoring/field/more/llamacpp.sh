./llama-server -m models/Qwen3-30B-A3B-Q4_K_M.gguf -c 32768 -ngl 99 --host 0.0.0.0 --port 8080 -fa --jinja
