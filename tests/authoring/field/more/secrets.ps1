$env:HF_TOKEN = "hf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
$args = @("--model-path", "Qwen/Qwen3-8B", "--api-key", "topsecret-1")
docker run --gpus all -e HF_TOKEN=$env:HF_TOKEN lmsysorg/sglang:v0.5.16 python3 -m sglang.launch_server @args
