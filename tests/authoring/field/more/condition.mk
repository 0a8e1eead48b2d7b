SHELL := /bin/bash
MODEL ?= deepseek-ai/DeepSeek-R1-Distill-Llama-70B
PORT ?= 30000
GPUS := 4
IMAGE = lmsysorg/sglang:v0.5.13.post1

ifdef DEBUG
FLAGS += --log-level debug
endif
FLAGS += --tp $(GPUS) --mem-fraction-static 0.9

.PHONY: serve
serve: ## run the server
	@docker run --rm --gpus all --ipc=host --env-file .env \
		-p $(PORT):$(PORT) $(IMAGE) \
		python3 -m sglang.launch_server --model-path $(MODEL) --port $(PORT) --host 0.0.0.0 $(FLAGS)
