"""A long run of schemathesis against a running exchange.

    outcry accounts open --count 1 --cash 1000000 --position AAPL=1000 --keys-file keys.json; outcry session open
    python tests/fuzz/run_openapi.py --keys keys.json --examples 100

It sends orders, makes keys and withdraws them, in the name of the first key of the file: an account of its own is best. Exit status 0: no failure.
"""

import json
import sys
import tempfile
from pathlib import Path

import click

sys.path[:0] = [str(Path(__file__).parents[1])]  # the package `support`, as pytest finds it

from support.openapi_run import openapi_run  # noqa: E402  behind the path


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True)
@click.option("--keys", type=click.Path(exists=True, path_type=Path), required=True, help="As `outcry accounts open` writes it.")
@click.option("--examples", default=100, show_default=True, help="Of each operation and phase.")
@click.option("--seed", default=1, show_default=True)
def main(url: str, keys: Path, examples: int, seed: int) -> None:
    """Every operation of /openapi.json, with good and bad requests."""
    key = json.loads(keys.read_text())[0]
    with tempfile.TemporaryDirectory(prefix="outcry-openapi-") as scratch:
        phases = "examples,coverage,fuzzing,stateful"
        done = openapi_run(url, key["key_id"], key["secret"], Path(scratch), examples=examples, seed=seed, phases=phases)
    print(done.stdout, done.stderr, sep="\n")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
