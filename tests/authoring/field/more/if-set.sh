MODEL=meta-llama/Llama-3.3-70B-Instruct
python3 -m sglang.launch_server --model-path $MODEL --tp 4 ${CTX:+--context-length $CTX} ${QUANT:+--quantization $QUANT} --port ${1:-30000}
