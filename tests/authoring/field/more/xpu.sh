sglang serve --model-path Qwen/Qwen3-8B --device xpu --attention-backend intel_xpu
