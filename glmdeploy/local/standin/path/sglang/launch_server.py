"""``python3 -m sglang.launch_server``: the real one where that can serve, else the stand-in."""

import sys

from glmdeploy.local.standin import real

if __name__ == "__main__":
    why = real.give_way("sglang.launch_server", sys.argv[1:])
    # Only now: the real one needs nothing of it.
    from glmdeploy.local.standin import launch

    sys.exit(launch.launch_server(sys.argv[1:], why))
