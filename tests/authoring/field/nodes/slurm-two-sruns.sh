#!/bin/bash
#SBATCH --nodes=2
#SBATCH --gpus-per-node=h100:8
nodes=($(scontrol show hostnames $SLURM_JOB_NODELIST))
head=${nodes[0]}
worker=${nodes[1]}
srun --nodes=1 --ntasks=1 -w "$head" python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-R1 --tp 16 --nnodes 2 --node-rank 0 --dist-init-addr "$head:5000" --port 30000 &
sleep 10
srun --nodes=1 --ntasks=1 -w "$worker" python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-R1 --tp 16 --nnodes 2 --node-rank 1 --dist-init-addr "$head:5000" --port 30000 &
wait
