# AWS Deep Learning Containers, SGLang on EC2: an image whose entrypoint is the server.
# options: --gpu L40S:1 --sglang-version 0.5.11
docker run --gpus all -p 30000:30000 \
  public.ecr.aws/deep-learning-containers/sglang:server-cuda \
  --model-path openai/gpt-oss-20b \
  --host 0.0.0.0 --port 30000
