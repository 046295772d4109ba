"""The columnar archive: Parquet files with manifests, written from the log, and SQL over them and the log's end.

Its packages are the extra `archive`. Without them, an import says so (OutcryError).
"""

from importlib.util import find_spec

from schemas.errors import OutcryError

_missing = [name for name in ("duckdb",) if find_spec(name) is None]
if _missing:
    raise OutcryError(f"the archive needs packages that are not installed ({', '.join(_missing)}): pip install 'open-outcry[archive]'")
