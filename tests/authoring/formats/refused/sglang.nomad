job "sglang" {
  group "serve" {
    task "server" {
      driver = "docker"
      config {
        image = "lmsysorg/sglang:v0.5.11"
        args  = ["python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B"]
      }
    }
  }
}
