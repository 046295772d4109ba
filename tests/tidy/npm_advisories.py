"""Known vulnerabilities of what browsers get from us of other projects: `make advisories`.

Asks the registry of npm by `npm audit`. Fails where it knows of one, and where it cannot be asked. The clients that only tests run are not asked about:
they are those of customers, unmodified, and nothing of ours has them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from vendored import PACKAGES


def main() -> None:
    """`npm audit` wants a lock file, which `npm install` makes without installing anything."""
    with tempfile.TemporaryDirectory() as place:
        described = {
            "name": "vendored",
            "version": "1.0.0",
            "private": True,
            "dependencies": {one["name"]: one["version"] for one in PACKAGES},
        }
        (Path(place) / "package.json").write_text(json.dumps(described))
        subprocess.run(
            ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=place, check=True
        )
        sys.exit(subprocess.run(["npm", "audit"], cwd=place, check=False).returncode)


if __name__ == "__main__":
    main()
