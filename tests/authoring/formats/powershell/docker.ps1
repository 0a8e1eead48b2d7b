# Shape of a public script for Docker Desktop.
param(
  [string]$Model = "Qwen/Qwen3-8B-AWQ",  # what is served
  [int]$Port = 30000
)
$ErrorActionPreference = "Stop"
$image = 'lmsysorg/sglang:v0.5.11'
$env:HF_HOME = "D:\hf"

Write-Host "Starting $Model on $Port" -ForegroundColor Green
docker rm -f sglang 2>$null | Out-Null
docker run -d `
  --gpus all --ipc=host -p "${Port}:30000" `
  -v ${HOME}\.cache\huggingface:/root/.cache/huggingface `
  -e HF_TOKEN=$env:HF_TOKEN `
  $image `
  python3 -m sglang.launch_server `
    --model-path $Model `
    --mem-fraction-static 0.8 `
    --host 0.0.0.0 --port 30000
