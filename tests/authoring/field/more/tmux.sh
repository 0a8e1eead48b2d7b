tmux new-session -d -s sgl "CUDA_VISIBLE_DEVICES=0,1,2,3 python -m sglang.launch_server --model-path Qwen/QwQ-32B --tp 4 --port 30000 2>&1 | tee sgl.log"
tmux send-keys -t sgl2 'python -m sglang.launch_server --model-path Qwen/Qwen3-8B' C-m
