sglang server --model-path Qwen/Qwen3-8B --tp 8
