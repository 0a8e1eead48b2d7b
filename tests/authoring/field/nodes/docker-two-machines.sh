# On the first machine (10.10.0.1)
docker run -d --name sglang-node0 --gpus all --network host --ipc host --shm-size 64g --privileged \
  --device /dev/infiniband --ulimit memlock=-1 \
  -v /data/hf:/root/.cache/huggingface \
  -e HF_TOKEN -e NCCL_IB_HCA=mlx5_0,mlx5_1 -e NCCL_IB_GID_INDEX=3 -e NCCL_SOCKET_IFNAME=ens8 -e GLOO_SOCKET_IFNAME=ens8 -e NCCL_DEBUG=WARN \
  lmsysorg/sglang:v0.5.10-cu130 \
  python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp-size 16 \
  --dist-init-addr 10.10.0.1:20000 --nnodes 2 --node-rank 0 \
  --tool-call-parser glm47 --reasoning-parser glm45 --host 0.0.0.0 --port 30000

# On the second machine (10.10.0.2)
docker run -d --name sglang-node1 --gpus all --network host --ipc host --shm-size 64g --privileged \
  --device /dev/infiniband --ulimit memlock=-1 \
  -v /data/hf:/root/.cache/huggingface \
  -e HF_TOKEN -e NCCL_IB_HCA=mlx5_0,mlx5_1 -e NCCL_IB_GID_INDEX=3 -e NCCL_SOCKET_IFNAME=ens9 -e GLOO_SOCKET_IFNAME=ens9 -e NCCL_DEBUG=WARN \
  lmsysorg/sglang:v0.5.10-cu130 \
  python3 -m sglang.launch_server --model-path zai-org/GLM-5 --tp-size 16 \
  --dist-init-addr 10.10.0.1:20000 --nnodes 2 --node-rank 1
