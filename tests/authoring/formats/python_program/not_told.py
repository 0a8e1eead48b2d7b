import subprocess
from settings import build_command

subprocess.run(build_command("sglang.launch_server"))
