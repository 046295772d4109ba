"""A table's files on disk, with a clear message if they cannot be read: RocksDB's own messages do not say what to do."""

from pathlib import Path
from typing import Any

from faust.stores.rocksdb import Store

from schemas.errors import StaleData

_DAMAGED = ("Corruption", "IO error: No such file")


class TableStore(Store):
    """Faust's store on RocksDB. Raises StaleData where the files are damaged: the log has all that they had, so a person may take them away."""

    def _open_for_partition(self, partition: int) -> Any:
        try:
            return super()._open_for_partition(partition)
        except Exception as error:  # RocksDB's binding has one class for everything
            raise _told(error, self.partition_path(partition)) from error

    def _get(self, key: bytes) -> bytes | None:
        try:
            found: bytes | None = super()._get(key)
        except Exception as error:
            raise _told(error, self.path) from error
        return found


def _told(error: Exception, path: Path) -> Exception:
    words = " ".join(str(error).split())
    if not words.startswith(_DAMAGED):
        return error
    return StaleData(f"the table {path} is damaged ({words}): move it away; it is restored from its changelog at the next start")
