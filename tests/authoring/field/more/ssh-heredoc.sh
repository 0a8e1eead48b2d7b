ssh gpu01 <<'REMOTE'
cd /opt/sglang
source venv/bin/activate
nohup python -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 8 --port 8000 > log 2>&1 &
REMOTE
