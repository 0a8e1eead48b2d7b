#!/bin/bash
#SBATCH --nodes=2
#SBATCH --gpus=h100:16
srun python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-R1 --tp $SLURM_GPUS --nnodes $SLURM_JOB_NUM_NODES --node-rank $SLURM_NODEID --dist-init-addr $(hostname):5000
