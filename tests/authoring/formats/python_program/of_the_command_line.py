# Shape of a public launcher that takes its model from the command line.
from sglang.utils import execute_shell_command, wait_for_server
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--model-path", type=str)
args = parser.parse_args()
execute_shell_command(f"""
python3 -m sglang.launch_server --model-path {args.model_path} \
--port 8080 --host 0.0.0.0
""")
wait_for_server("http://localhost:8080")
