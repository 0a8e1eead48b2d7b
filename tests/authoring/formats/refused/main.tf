# A deployment of Kubernetes, in Terraform.
variable "model" {
  default = "Qwen/Qwen3-8B"
}

resource "kubernetes_deployment" "sglang" {
  command = ["python3", "-m", "sglang.launch_server", "--model-path", var.model]
}
