# expect: error 3:17 this job runs on 2 nodes
# options: --sglang-version 0.5.11 --gpu H200:8
#SBATCH --nodes=2
srun python3 -m sglang.launch_server --model-path zai-org/GLM-5.1-FP8 --tp 8
