python3 -m sglang.bench_one_batch_server --model-path meta-llama/Llama-3.1-8B --tp 1 --batch-size 16
