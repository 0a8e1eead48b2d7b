run:
	python3 -m sglang.launch_server --model-path $(MODEL) --tp $(shell nvidia-smi -L | wc -l)
