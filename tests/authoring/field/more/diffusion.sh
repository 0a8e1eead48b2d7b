sglang serve --model-path black-forest-labs/FLUX.1-dev --model-type diffusion --port 3000
