python3 -m sglang.launch_server --model-path QuantTrio/Kimi-K2-Instruct-0905-AWQ --tp 8 --trust-remote-code --quantization awq_marlin --tool-call-parser kimi_k2
