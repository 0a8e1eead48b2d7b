# prefill
MOONCAKE_CONFIG_PATH=./mooncake.json python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.1 --disaggregation-mode prefill --disaggregation-transfer-backend nixl --tp-size 8 --port 30000 --host 0.0.0.0 &
# decode
MOONCAKE_CONFIG_PATH=./mooncake.json python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3.1 --disaggregation-mode decode --disaggregation-transfer-backend nixl --tp-size 8 --port 30001 --host 0.0.0.0 &
python -m sglang_router.launch_router --pd-disaggregation --prefill http://10.0.0.1:30000 8998 --decode http://10.0.0.2:30001 --policy cache_aware
