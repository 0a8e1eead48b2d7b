# expect: error 1:1 nothing in this text launches SGLang
pip install sglang
echo python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8
