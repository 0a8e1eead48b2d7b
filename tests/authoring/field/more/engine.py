import sglang as sgl

llm = sgl.Engine(model_path="Qwen/Qwen3-8B", tp_size=2)
print(llm.generate(["hi"]))
