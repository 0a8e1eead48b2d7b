python -m sglang.launch_server `
  --model-path Qwen/Qwen3-8B `
  --served-model-name $spec.ServedName `
  --port $(Get-Random -Minimum 30000)
