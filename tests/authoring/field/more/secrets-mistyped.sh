export HF_TOKEN hf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
huggingface-cli login --token hf_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB
curl -H "Authorization: Bearer sk-live-xyzxyzxyzxyz" https://example.com
python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B api-key mysecret99
