#!/bin/bash
#SBATCH --nodes=2
#SBATCH --gpus-per-node=h200:8
srun python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8
