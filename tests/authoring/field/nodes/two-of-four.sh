#SBATCH --nodes=2
#SBATCH --gres=gpu:a100:4
srun python3 -m sglang.launch_server --model-path zai-org/GLM-4.5-Air --tp 8 --nnodes 2 --node-rank $SLURM_NODEID --nccl-init-addr $HEAD:5000
