#!/bin/bash
#SBATCH --job-name=sglang
#SBATCH --partition=gpu
#SBATCH --gpus=a100:2
#SBATCH --time=12:00:00
module load apptainer
export HF_HOME=$SCRATCH/hf
export APPTAINERENV_HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyzABCDEFGH
SIF=$SCRATCH/images/sglang_v0.5.9-cu129.sif
apptainer exec --nv --bind $SCRATCH:$SCRATCH $SIF \
  python3 -m sglang.launch_server \
    --model-path Qwen/Qwen2.5-Coder-32B-Instruct \
    --tp $SLURM_GPUS_ON_NODE \
    --host 0.0.0.0 --port $((30000 + SLURM_JOB_ID % 1000)) \
    --context-length 32768
