# Shape of a public Makefile of sgl-project/sglang users: an image of variables, two targets.
REPO := myorg/sglang
VERSION = v0.5.11
IMAGE = $(REPO):$(VERSION)
FLAGS  = --trust-remote-code
FLAGS += --mem-fraction-static=0.7
TP ?= 2
export HF_HUB_ENABLE_HF_TRANSFER = 1

.PHONY: serve pull
pull:
	docker pull $(IMAGE)

serve: pull # starts it
	@echo "serving $(MODEL)"
	mkdir -p logs
	-docker run --rm --gpus all -p 30000:30000 \
	  -e HF_HUB_ENABLE_HF_TRANSFER \
	  $(IMAGE) \
	  python3 -m sglang.launch_server $(FLAGS) \
	    --model-path $(or $(MODEL),zai-org/GLM-4.5-Air) --tp ${TP} --port $${PORT:-30000}
