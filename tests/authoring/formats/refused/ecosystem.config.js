module.exports = {
  apps: [{name: "sglang", script: "python3", args: "-m sglang.launch_server --model-path Qwen/Qwen3-8B"}],
};
