"""Writes docker/kubernetes from the catalogue of roles: python tests/tidy/kubernetes_files.py (`make tables`). A test compares the two."""

import shutil
from pathlib import Path
from typing import Final

from fleet.overlays import files

FOLDER: Final = Path(__file__).parents[2] / "docker" / "kubernetes"
GENERATED: Final = ("base", "components", "overlays")


def write() -> None:
    """Replace what is generated, so that a role that has gone leaves nothing behind."""
    for name in GENERATED:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    for path, text in files().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)


if __name__ == "__main__":
    write()
