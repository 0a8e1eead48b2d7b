# expect: error 3:66 what stands in the file of --config is not in this text
# options: --sglang-version 0.5.11 --gpu H200:8
python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --config server.yaml
