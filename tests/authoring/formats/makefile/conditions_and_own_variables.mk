MODEL := Qwen/Qwen3-8B
ifeq ($(GPU),h200)
TP := 8
else
TP := 4
endif
include local.mk

big: TP := 2
big: ; python3 -m sglang.launch_server --model-path $(MODEL) --tp $(TP)

small:
	python3 -m sglang.launch_server --model-path $(MODEL) --tp $(TP)
