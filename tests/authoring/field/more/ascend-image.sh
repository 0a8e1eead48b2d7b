export ASCEND_RT_VISIBLE_DEVICES=0,1,2,3,4,5,6,7
export HCCL_BUFFSIZE=1600
source /usr/local/Ascend/ascend-toolkit/set_env.sh
docker run --privileged -v /usr/local/Ascend/driver:/usr/local/Ascend/driver lmsysorg/sglang:main-cann8.5.0-a3 python3 -m sglang.launch_server --model-path /models/DeepSeek-R1-W8A8 --tp 16 --device npu --attention-backend ascend --quantization modelslim --host 0.0.0.0
