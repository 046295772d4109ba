"""Archive seeded records up to an offset; to be killed at any moment: `python killed_archive.py FOLDER END`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the package `support`

from support.records.archive_logs import archive_until

from audit.disk import Disk
from sinks.parquet import files

if __name__ == "__main__":
    files.ROWS_MAX = 100
    print("started", flush=True)
    archive_until(Path(sys.argv[1]), Disk(), int(sys.argv[2])).commit()
