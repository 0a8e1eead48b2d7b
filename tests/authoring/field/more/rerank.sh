python3 -m sglang.launch_server --model-path BAAI/bge-reranker-v2-m3 --host 0.0.0.0 --disable-radix-cache --chunked-prefill-size -1 --attention-backend triton --is-embedding --port 30000
