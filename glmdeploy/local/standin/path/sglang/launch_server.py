"""``python3 -m sglang.launch_server``"""

import sys

from glmdeploy.local.standin import launch

if __name__ == "__main__":
    sys.exit(launch.launch_server(sys.argv[1:]))
