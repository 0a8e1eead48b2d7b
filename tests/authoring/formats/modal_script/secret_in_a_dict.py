import os, subprocess, modal
app = modal.App("secret")
image = modal.Image.from_registry("lmsysorg/sglang:v0.5.11").env({"SERVICE_API_KEY": "correct-horse-battery"})
@app.function(image=image, gpu="H100", secrets=[modal.Secret.from_dict({"HF_TOKEN": "hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})])
@modal.web_server(30000)
def serve():
    subprocess.Popen(["sglang", "serve", "--model-path", "Qwen/Qwen3-8B", "--api-key", os.environ["KEY"]])
