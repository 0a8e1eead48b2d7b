MODEL=zai-org/GLM-4.6-FP8
hf download $MODEL --local-dir /data/$(basename $MODEL)
python3 -m sglang.launch_server --model-path "/data/$(basename $MODEL)" --served-model-name ${MODEL##*/} --tp 8
