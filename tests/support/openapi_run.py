"""A run of schemathesis against a running edge: requests made from the edge's own OpenAPI document, good and bad, and every answer checked against it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parents[1] / "fuzz" / "openapi"


def openapi_run(
    url: str, key: str, secret: str, scratch: Path, *, examples: int, seed: int, phases: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Its standard output is for people; its return code is 0 only without a failure."""
    headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret, "X-API-Key": key, "X-API-Secret": secret}
    command = [
        str(Path(sys.executable).parent / "st"), "--config-file", str(_FOLDER / "schemathesis.toml"), "run", f"{url}/openapi.json",
        *(part for name, value in headers.items() for part in ("-H", f"{name}: {value}")),
        "--max-examples", str(examples), "--seed", str(seed), "--phases", phases, "--workers", "2", "--continue-on-failure", "--no-color", "--warnings", "off", *options,
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(_FOLDER / "hooks.py")}
    return subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=3_600, check=False)
