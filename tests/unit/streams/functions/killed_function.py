"""Run a function over seeded records; to be killed at any moment: `python killed_function.py FOLDER END`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # the package `support`

from support.function_parts import deploy, run_over

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print("started", flush=True)
    run_over(deploy(folder / "functions"), folder / "moves.sqlite", folder, range(int(sys.argv[2])), batch=5)
