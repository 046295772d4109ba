"""Files that are whole whenever a process is killed, and on the disk before anybody is told of them."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


class Disk:
    """What the logs and the witness do to their disks. Tests crash it between any two steps."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        """Replace a file: it has its old or its new content, and the new one for good once this returns. Raises OSError."""
        self._make_folder(path.parent)
        draft = path.with_name(f".{path.name}.draft")
        self._write_draft(draft, data, mode)
        self._rename(draft, path)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it; nothing happens where there is none."""
        with suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _write_draft(self, draft: Path, data: bytes, mode: int) -> None:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _rename(self, draft: Path, path: Path) -> None:
        draft.replace(path)
        _sync_folder(path.parent)

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
