CMD="$(cat << 'END'
python3 -m sglang.launch_server \
  --model-path Qwen/Qwen3-8B --tp 2 \
  --served-model-name "my model"
END
)"
bash -c "$CMD"
