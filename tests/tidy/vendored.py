"""Fetch what the pages use of other projects from npm, check it, and write edge/console/web/vendor with its manifest: `make vendor`.

Each package is pinned with the integrity that the registry tells; only the files named here are kept, LICENSE among them.
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

VENDOR: Final = Path(__file__).parents[2] / "edge" / "console" / "web" / "vendor"
PACKAGES: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "lightweight-charts",
        "version": "5.2.1",
        "licence": "Apache-2.0",
        "integrity": "sha512-IVwoK1RLFiLPubaKIjNbtjWLnpPMqiABSrTay6whmNa8L1+19292VtHJ+BWyPUuLCwF0tcQlhEWd1CLB2a1nsQ==",
        "files": {"dist/lightweight-charts.standalone.production.js": "lightweight-charts.standalone.production.js", "LICENSE": "LICENSE"},
    },
)


def _digest(algorithm: str, data: bytes) -> str:
    return f"{algorithm}-{b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def _fetch(package: dict[str, Any], place: Path) -> dict[str, Any]:
    """Unpack one package; its entry of the manifest. Exits where the registry has something else than what is pinned."""
    spec = f"{package['name']}@{package['version']}"
    packed = subprocess.run(["npm", "pack", "--silent", spec], cwd=place, check=True, capture_output=True, text=True).stdout.split()[-1]
    archive = (place / packed).read_bytes()
    if _digest("sha512", archive) != package["integrity"]:
        sys.exit(f"{spec}: the package is not the pinned one: {_digest('sha512', archive)}")
    folder = f"{package['name'].removeprefix('@').replace('/', '-')}-{package['version']}"
    (VENDOR / folder).mkdir(parents=True, exist_ok=True)
    digests = {}
    with tarfile.open(place / packed) as tar:
        for inside, name in package["files"].items():
            member = tar.extractfile(f"package/{inside}")
            assert member is not None, inside
            data = member.read()
            (VENDOR / folder / name).write_bytes(data)
            digests[name] = _digest("sha384", data)
    return {"folder": folder, **{key: package[key] for key in ("name", "version", "licence", "integrity")}, "files": digests}


def main() -> None:
    """Fetch all of them."""
    with tempfile.TemporaryDirectory() as place:
        entries = [_fetch(one, Path(place)) for one in PACKAGES]
    (VENDOR / "manifest.json").write_text(json.dumps({"packages": entries}, indent=2) + "\n")


if __name__ == "__main__":
    main()
