function serve
    set -x CUDA_HOME /usr/local/cuda
    docker run --gpus all lmsysorg/sglang:v0.5.11 sglang serve Qwen/Qwen3-8B --tp (nvidia-smi -L | count)
end
