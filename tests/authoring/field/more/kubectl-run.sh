kubectl run sgl --image=lmsysorg/sglang:v0.5.16 --restart=Never --overrides='{"spec":{}}' --command -- python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 8
