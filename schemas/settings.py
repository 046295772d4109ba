"""Every setting of the exchange, read once from the environment and frozen.

A setting is an environment variable `OUTCRY_<NAME>`. Where a service address is not set, the address that `outcry up` wrote into
`OUTCRY_HOME/run/services.json` is used. A name that begins with OUTCRY_ and is not listed here is refused: a misspelt setting
must not silently fall back to its default. All errors are reported at once.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, JsonConfigSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.limits import SHARDS_MAX
from schemas.logins import MARK
from schemas.market_hours import MarketClock

PREFIX = "OUTCRY_"


class SettingsError(ValueError):
    """The environment has invalid settings. The message names every such variable and why."""


def _port_of(address: str) -> bool:
    """Whether host:port has both."""
    host, _, port = address.rpartition(":")
    return bool(host) and "/" not in host and port.isascii() and port.isdigit() and 0 < int(port) <= 65_535


def _url_of(*schemes: str, path: bool = False) -> Callable[[str], bool]:
    """Whether a URL has one of the schemes, a host, a valid port, and a path if it needs one."""

    def fits(url: str) -> bool:
        try:
            parts = urlsplit(url)
            return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and (not path or len(parts.path) > 1)
        except ValueError:  # of the port, or of a bracket
            return False

    return fits


_REDIS_FORM: Final = (
    "redis://[user:password@]host:port/0, unix:///path/of/a/socket, or redis+sentinel://[user:password@]host:port[,host:port]/SERVICE[/0]"
)


def _is_of_redis(url: str) -> bool:
    """Whether it names a server, its socket, or sentinels and what they watch."""
    scheme, _, rest = url.partition("://")
    if scheme == "unix":
        return rest.startswith("/")
    if scheme != "redis+sentinel":
        return _url_of("redis", "rediss")(url)
    hosts, _, path = rest.rpartition("@")[2].partition("/")
    service, _, database = path.partition("/")
    return bool(service) and (not database or (database.isascii() and database.isdigit())) and all(map(_port_of, hosts.split(",")))


_ADDRESSES: Final[dict[str, tuple[str, Callable[[str], bool]]]] = {
    "kafka_url": ("host:port[,host:port]", lambda text: all(map(_port_of, text.split(",")))),
    "mysql_url": ("mysql://user:password@host:port/database", _url_of("mysql", path=True)),
    "redis_url": (_REDIS_FORM, _is_of_redis),
    "cache_url": (_REDIS_FORM, _is_of_redis),
    "elasticsearch_url": ("http://host:port", _url_of("http", "https")),
    "copies_from": ("host:port[,host:port]", lambda text: all(map(_port_of, text.split(",")))),
    "copied_to": ("host:port[,host:port]", lambda text: all(map(_port_of, text.split(",")))),
    "copies_mysql_from": ("mysql://user:password@host:port/database", _url_of("mysql", path=True)),
    "edge_url": ("http://host:port", _url_of("http", "https")),
}
"""The form of each address, before any `?login=PATH` (schemas.logins), and a check of it. Otherwise every client would fail by itself, late, and with its own message."""


CACHE_SECRET: Final = "cache-secret"  # noqa: S105 - the name of a file
"""Among the keys of the services."""


class Settings(BaseSettings):
    """The settings; each field is the variable `OUTCRY_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    home: Path = Field(default=Path("var"), description="data, logs and pid files of the local set")
    cache: Path | None = Field(default=None, description="unpacked service packages (default: ~/.cache/open-outcry)")

    secure: bool = Field(
        default=False,
        description="services that are started here want TLS and a login of everybody, and each login has the rights that it needs",
    )
    service_keys_dir: Path | None = Field(
        default=None,
        description="folder of the authority, the certificates and the logins of these services (default: OUTCRY_HOME/keys/services)",
    )

    kafka_optimized: bool = Field(
        default=False,
        description="a broker that is started here compiles its code for speed: slower for its first minute, then a third cheaper for each record",
    )

    kafka_url: str = Field(
        default="",
        description="bootstrap servers, host:port[,host:port]; this and the other addresses may end with ?login=FILE (docs/operate.md#tls-and-logins)",
    )
    mysql_url: str = Field(default="", description="mysql://user:password@host:port/database")
    mysql_servers_file: Path | None = Field(
        default=None, description="JSON list of MySQL servers, if there are replicas (docs/replicas.md): reads are shared out among them"
    )
    mysql_zone: str = Field(
        default="", description="where this process stands, as the list of MySQL servers says it: near replicas are read"
    )
    redis_url: str = Field(default="", description=_REDIS_FORM)
    cache_url: str = Field(
        default="", description="the cache in front of MySQL, in a form of OUTCRY_REDIS_URL; none: every read goes to MySQL"
    )
    cache_secret_file: Path | None = Field(
        default=None,
        description="secret by which entries of this cache are known, the same for edges and `outcry cache warm` (default: the file `cache-secret` among the keys of the services; where there is none, it is made of MySQL's user and password)",
    )
    elasticsearch_url: str = Field(default="", description="http://host:port")
    edge_url: str = Field(default="", description="where clients of this set reach the edge, http://host:port")

    account_shards: int = Field(default=1, ge=1, le=SHARDS_MAX, description="partitions of account.commands when topics are created")
    book_shards: int = Field(default=1, ge=1, le=SHARDS_MAX, description="partitions of book.commands when topics are created")
    edge_instances: int = Field(default=1, ge=1, le=64, description="partitions of edge.replies when topics are created")
    replication_factor: int = Field(default=1, ge=1, le=7, description="copies of every topic when topics are created")

    instruments_file: Path | None = Field(default=None, description="TOML list of instruments (default: the built-in set)")
    owner_sets_file: Path | None = Field(default=None, description="TOML list of accounts of one owner, for surveillance (default: none)")

    market_days_file: Path | None = Field(
        default=None, description="TOML with days that the market is closed, or closes early, beside those of NYSE (default: none)"
    )
    market_clock: str = Field(
        default="", description="market time of a rehearsal, REAL=MARKET*SPEED: 2026-11-30T12:00:00Z=2026-11-27T06:25:00-05:00*600"
    )

    archive_dir: Path | None = Field(default=None, description="Parquet files of the archive (default: OUTCRY_HOME/data/archive)")
    archive_days: int = Field(default=0, ge=0, le=36_500, description="days that the archive keeps; 0: for ever")

    functions_dir: Path | None = Field(default=None, description="files of functions on the stream (default: OUTCRY_HOME/functions)")

    edge_host: str = Field(default="127.0.0.1", description="address the edge listens on")
    edge_port: int = Field(default=8080, ge=0, le=65535, description="port the edge listens on; 0: any free one")
    edge_instance: int = Field(default=0, ge=0, le=63, description="which partition of edge.replies this edge owns")
    edge_fanout_workers: int = Field(
        default=0, ge=0, le=64, description="processes that the edge starts for market-data WebSockets alone; 0: it serves them itself"
    )
    edge_fanout_port: int = Field(default=8081, ge=0, le=65535, description="port that these processes share; 0: any free one")
    edge_decision_timeout_ms: int = Field(default=5_000, ge=50, le=60_000, description="POST waits this long for the account shard")
    edge_sink_lag_max: int = Field(
        default=100_000,
        ge=0,
        description="the edge refuses new orders (503, Retry-After) while MySQL is this many records behind the log; 0: never",
    )

    worker_host: str = Field(default="127.0.0.1", description="address of a worker's /metrics and /healthz")
    worker_port: int = Field(default=0, ge=0, le=65535, description="port of a worker's /metrics and /healthz; 0: any free one")
    worker_replica: str = Field(default="a", pattern="^[a-h]$", description="which active-active replica of its role a worker belongs to")
    region: int = Field(
        default=1, ge=1, le=4, description="number of this region; its replicas have other letters than those of other regions"
    )
    copies_from: str = Field(
        default="",
        description="bootstrap servers of the region whose log is copied here (docs/regions.md): topics are made as those of a copy",
    )
    copies_mysql_from: str = Field(
        default="",
        description="MySQL of the region whose log is copied here: API keys, people and what customers keep are copied from there",
    )
    copied_to: str = Field(
        default="",
        description="bootstrap servers of the region that copies this one's log: when it has taken over, nothing is written here any more",
    )
    worker_instance: int = Field(
        default=1, ge=1, le=64, description="number of a worker within its replica; each has its own data directory"
    )
    standby_replicas: int = Field(default=0, ge=0, le=3, description="workers that keep a copy of each table, besides the one that owns it")
    snapshot_interval_ms: int = Field(default=1_000, ge=10, le=600_000, description="shortest time between snapshots of a shard")
    session_timeout_ms: int = Field(default=6_000, ge=1_000, le=60_000, description="Kafka drops a silent worker after this long")
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="lowest severity of log lines that are written"
    )

    traces: str = Field(
        default="",
        description="where traces of orders go: http://host:port/v1/traces of a collector (OTLP), or a folder for files (default: there are none)",
    )
    traces_share: float = Field(default=0.01, gt=0, le=1, description="share of orders that are traced; the same for every role")

    keys_dir: Path | None = Field(
        default=None, description="folder of the keys that prove who writes records (default: OUTCRY_HOME/keys/records)"
    )
    require_record_codes: bool = Field(
        default=False, description="start nothing without these keys; where there are keys, records have to be proven in any case"
    )

    audit_keys: Path | None = Field(default=None, description="secret keys of the audit log (default: OUTCRY_HOME/keys/audit.json)")
    audit_witnesses: Path | None = Field(
        default=None,
        description="file with the witnesses of the audit log: lines `witness NAME VKEY URL`, `group`, `quorum` (c2sp.org/tlog-policy)",
    )

    trail_days: int = Field(
        default=1_827,
        ge=1,
        le=36_525,
        description="days that the audit trail in Elasticsearch is kept at least (five years: SEC 17a-1); `outcry audit trail prune` deletes older ones",
    )

    forecast_mode: str = Field(
        default="observe",
        pattern="^(observe|scale)$",
        description="whether scalers get what `forecast-load` wants, or it only says what it would",
    )
    forecast_port: int = Field(default=0, ge=0, le=65535, description="port of KEDA's external scaler; 0: any free one")
    forecast_edges: str = Field(default="", description="http://host:port[,...] of edges whose open sockets are counted for the forecast")
    forecast_costs_file: Path | None = Field(
        default=None, description="TOML with what a unit of load costs each role (default: the package's forecast/costs.toml)"
    )

    reports_file: Path | None = Field(
        default=None,
        description="TOML list for regulatory reports: who reports, and the member of each account (`outcry report reference`)",
    )
    reports_dir: Path | None = Field(
        default=None,
        description="folder of the regulatory reports (default: OUTCRY_HOME/data/reports); edges that show them need the same",
    )

    clock_reference: str = Field(
        default="",
        max_length=255,
        description="NTP server, HOST or HOST:PORT, with which clocks are compared (default: what this machine's time service has told the kernel)",
    )
    clock_offset_max_us: int = Field(
        default=50_000,
        ge=1,
        le=60_000_000,
        description="how far a clock may be from its reference, us (CAT: 50,000 for brokers, 100 for exchanges)",
    )

    @field_validator(*_ADDRESSES)
    @classmethod
    def _looks_like_an_address(cls, text: str, info: ValidationInfo) -> str:
        form, fits = _ADDRESSES[str(info.field_name)]
        address, mark, path = text.partition(MARK)
        if text and (not fits(address) or (mark and not path)):
            raise ValueError(f"is not {form}")
        return text

    @field_validator("traces")
    @classmethod
    def _is_a_collector_or_a_folder(cls, text: str) -> str:
        if "://" in text and not _url_of("http", "https", path=True)(text):
            raise ValueError("is neither http://host:port/v1/traces nor a folder")
        return text

    @field_validator("market_clock")
    @classmethod
    def _is_a_clock(cls, text: str) -> str:
        MarketClock.parse(text)
        return text

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, the running local set."""
        home = Path(os.environ.get(PREFIX + "HOME") or "var")
        running = JsonConfigSettingsSource(settings_cls, json_file=home / "run" / "services.json")
        return init_settings, env_settings, running

    @property
    def insync_copies_min(self) -> int:
        """Copies of a record that must exist before it is acknowledged (acks=all): one broker of three may be down."""
        return max(1, self.replication_factor - 1)

    @property
    def run_dir(self) -> Path:
        """Pid files and the addresses of the running local set."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        """One log file per service and role."""
        return self.home / "log"

    @property
    def data_dir(self) -> Path:
        """Data of the local services and the RocksDB tables of the workers."""
        return self.home / "data"

    @property
    def record_keys_dir(self) -> Path:
        """The keys that prove who writes records."""
        return self.keys_dir or self.home / "keys" / "records"

    @property
    def service_keys(self) -> Path:
        """The authority of the local services, their certificates, and logins."""
        return self.service_keys_dir or self.home / "keys" / "services"

    @property
    def cache_secret(self) -> Path | None:
        """The secret of the cache's entries; None where it is made of MySQL's login."""
        made = self.service_keys / CACHE_SECRET
        return self.cache_secret_file or (made if made.exists() else None)

    @property
    def audit_dir(self) -> Path:
        """The audit logs, a folder for each partition."""
        return self.data_dir / "audit"

    @property
    def archive_folder(self) -> Path:
        """The archive: Parquet files and their manifests."""
        return self.archive_dir or self.data_dir / "archive"

    @property
    def functions_folder(self) -> Path:
        """What is deployed of functions on the stream."""
        return self.functions_dir or self.home / "functions"

    @property
    def audit_keys_file(self) -> Path:
        """The secret keys of the audit log."""
        return self.audit_keys or self.home / "keys" / "audit.json"

    @property
    def reports_folder(self) -> Path:
        """Regulatory reports, a folder for each day."""
        return self.reports_dir or self.data_dir / "reports"

    @property
    def clocks_folder(self) -> Path:
        """Drift logs of clocks, a folder for each process."""
        return self.data_dir / "clocks"

    @property
    def cache_dir(self) -> Path:
        """Unpacked service packages. They may be deleted whenever nothing runs."""
        if self.cache is not None:
            return self.cache
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "open-outcry"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises SettingsError naming every unknown or invalid variable, or the file of the running set if it cannot be read.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    problems = [f"{name}: unknown setting" for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known]
    settings = None
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [
            f"{PREFIX}{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')} (got {_shown(str(item['loc'][0]), item['input'])!r})"
            for item in error.errors()
        ]
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        running = Path(os.environ.get(PREFIX + "HOME") or "var") / "run" / "services.json"
        problems.append(
            f"{running}, which the running set wrote, cannot be read ({error}): remove it, then run `outcry down` and `outcry up`"
        )
    if problems or settings is None:
        raise SettingsError("invalid settings:\n  " + "\n  ".join(problems))
    return settings


def _shown(name: str, value: object) -> object:
    """A value without any password in it."""
    return re.sub(r"(?<=:)[^:@/]*(?=@)", "***", value) if name in _ADDRESSES and isinstance(value, str) else value
