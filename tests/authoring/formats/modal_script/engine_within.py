# Shape of modal-labs/modal-examples, sgl_vlm.py.
import modal
app = modal.App("vlm")
@app.cls(gpu="L40S", image=modal.Image.debian_slim().pip_install("sglang[all]==0.5.10"))
class Model:
    @modal.enter()
    def start(self):
        import sglang as sgl
        self.runtime = sgl.Runtime(model_path="Qwen/Qwen2-VL-7B-Instruct", tp_size=1)
