# SGLang, docs/basic_usage/deepseek_v32.md: function calling, with a chat template from SGLang's own tree.
# options: --gpu B200:8 --sglang-version 0.5.11
python3 -m sglang.launch_server \
  --model-path deepseek-ai/DeepSeek-V3.2-Exp \
  --trust-remote-code \
  --tp-size 8 --dp-size 8 --enable-dp-attention \
  --tool-call-parser deepseekv31 \
  --reasoning-parser deepseek-v3 \
  --chat-template ./examples/chat_template/tool_chat_template_deepseekv32.jinja
