"""``python3 -m sglang.compile_deep_gemm``"""

import sys

from glmdeploy.local.standin import launch

if __name__ == "__main__":
    sys.exit(launch.compile_deep_gemm(sys.argv[1:]))
