sbatch <<'EOT'
#!/bin/bash
#SBATCH -N2
#SBATCH --gres=gpu:h100:8
srun --ntasks-per-node=1 apptainer exec --nv sglang_v0.5.11-cu130.sif python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-R1 --tp 16 --nnodes $SLURM_NNODES --node-rank $SLURM_NODEID --dist-init-addr $(scontrol show hostnames | head -1):5000
EOT
