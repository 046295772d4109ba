"""Compare the engines over as many random commands as you have time for: `python tests/properties/long_run.py --commands 20000000`.

Prints one JSON line a session and one at the end; exit status 1 names the seed of the session that failed, which fails again by itself.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from book_tapes import Tape, instruments, plain_instruments
from compare_engines import compare

SESSION_ROWS = 50_000


def session(seed: int) -> dict[str, object]:
    """One tape; every fourth is plain, so that the fast path does more."""
    plain = seed % 4 == 3
    begin = time.monotonic()
    try:
        compare(Tape(seed, plain=plain), plain_instruments() if plain else instruments(), SESSION_ROWS)
    except AssertionError as error:
        return {"seed": seed, "failed": str(error)}
    return {"seed": seed, "commands": SESSION_ROWS, "seconds": round(time.monotonic() - begin, 1)}


def main() -> int:
    """Sessions side by side in processes, until there are enough commands or one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first session")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    begin, done = time.monotonic(), 0
    seeds = range(arguments.seed, arguments.seed - (-arguments.commands // SESSION_ROWS))
    with ProcessPoolExecutor(arguments.processes) as pool:
        for result in pool.map(session, seeds):
            print(json.dumps(result), flush=True)
            if "failed" in result:
                pool.shutdown(cancel_futures=True)
                return 1
            done += SESSION_ROWS
    print(json.dumps({"commands": done, "sessions": len(seeds), "failed": 0, "seconds": round(time.monotonic() - begin)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
