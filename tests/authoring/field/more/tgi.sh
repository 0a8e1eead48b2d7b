model=mistralai/Mistral-7B-Instruct-v0.3
docker run --gpus all --shm-size 1g -p 8080:80 -v $PWD/data:/data -e HF_TOKEN=hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ghcr.io/huggingface/text-generation-inference:3.2.0 --model-id $model --num-shard 2 --max-total-tokens 8192 --quantize fp8
