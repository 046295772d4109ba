"""What forks of a fork server run in tests: `exit N`, `sleep`, or `fail`."""

import sys
import time


def main() -> None:
    """Do what the first argument says."""
    print("runs", *sys.argv[1:], flush=True)
    if sys.argv[1] == "exit":
        sys.exit(int(sys.argv[2]))
    if sys.argv[1] == "fail":
        raise ValueError("as it was told")
    time.sleep(600)
