python3 -m sglang.launch_server --model-path meta-llama/Llama-3.1-8B-Instruct --speculative-algorithm STANDALONE --speculative-num-steps 4 --speculative-eagle-topk 2 --speculative-num-draft-tokens 7
