from sglang.test.doc_patch import launch_server_cmd
from sglang.utils import wait_for_server

server_process, port = launch_server_cmd("""
python3 -m sglang.launch_server --model-path qwen/qwen2.5-0.5b-instruct \
 --host 0.0.0.0 --log-level warning
""")
wait_for_server(f"http://localhost:{port}")
