"""What is deployed: a file NAME.toml in the folder of functions says which handler reads which rows, with which limits. Read anew when it changes."""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from schemas.enums import AccountEventKind, ExecKind, MarketDataKind
from schemas.errors import OutcryError

KINDS: Final = {"market.data": MarketDataKind, "executions": ExecKind, "account.events": AccountEventKind}
"""Topics that functions may read, and the words of their column `kind`."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o002
_HANDLER: Final = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*", re.ASCII)


class BadFunction(OutcryError):
    """A file of a function that cannot be; the message says what is wrong and where."""


class Webhook(BaseModel):
    """Where alerts go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    secret_file: str
    """Beside NAME.toml: a secret `whsec_...` a line; the first signs, the others too while a key is changed."""
    allow_private: bool = False
    """Addresses of this machine and of private networks are refused without it."""
    timeout_s: Annotated[float, Field(ge=0.1, le=30)] = 15
    maximum_age_s: Annotated[float, Field(ge=1)] = 345_600
    """An alert that could not be delivered for so long is given up, and the next one goes out."""


class Deployment(BaseModel):
    """The fields of NAME.toml. The names of batches and errors are those of AWS Lambda's event source mapping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    handler: str = ""
    """FILE.FUNCTION: FILE.py lies beside NAME.toml."""
    builtin: str = ""
    """Instead: a handler that comes with the exchange."""
    topic: Literal["market.data", "executions", "account.events"] = "market.data"
    kinds: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    """Rows of these only; empty: all."""
    start: Literal["latest", "earliest"] = "latest"
    """Where a function that has read nothing yet begins."""
    enabled: bool = True
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    batch_window_ms: Annotated[int, Field(ge=0, le=300_000)] = 500
    timeout_s: Annotated[float, Field(ge=0.05, le=900)] = 3
    memory_mb: Annotated[int, Field(ge=64, le=10_240)] = 256
    bisect_on_error: bool = True
    maximum_retry_attempts: Annotated[int, Field(ge=0, le=10_000)] = 2
    maximum_record_age_s: Annotated[int, Field(ge=-1, le=604_800)] = -1
    cool_down_s: Annotated[float, Field(ge=0)] = 0
    """A rule that has alerted of a symbol is silent about it for so long, by log time."""
    environment: dict[str, str] = Field(default_factory=dict)
    webhook: Webhook | None = None

    @field_validator("environment")
    @classmethod
    def _names(cls, given: dict[str, str]) -> dict[str, str]:
        for name in given:
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or name.startswith(("PYTHON", "LD_")):
                raise ValueError(f"{name} is not a name such as MOVE_PERCENT")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> "Deployment":
        if bool(self.handler) == bool(self.builtin):
            raise ValueError("name a handler (FILE.FUNCTION) or a builtin")
        if self.handler and not _HANDLER.fullmatch(self.handler):
            raise ValueError(f"handler: {self.handler!r} is not FILE.FUNCTION")
        if self.builtin and self.builtin not in BUILTINS:
            raise ValueError(f"builtin: there is no {self.builtin!r}; there are {', '.join(BUILTINS)}")
        known = [kind.name for kind in KINDS[self.topic]]
        unknown = [kind for kind in self.kinds if kind not in known]
        if unknown:
            raise ValueError(f"kinds: {self.topic} has no {', '.join(unknown)}; it has {', '.join(known)}")
        return self


BUILTINS: Final = tuple(
    sorted(
        path.name.removesuffix(".py")
        for path in files("streams.functions.builtin").iterdir()
        if path.name.endswith(".py") and path.name != "__init__.py"
    )
)


@dataclass(frozen=True)
class Function:
    """One that is deployed."""

    name: str
    settings: Deployment
    source: Path
    """The handler's file."""
    function: str
    """Its name in the file."""
    version: str
    """Of its source and its settings: changes with either."""
    secrets: tuple[str, ...] = ()


def deployed(folder: Path) -> Iterator[tuple[str, Function | BadFunction]]:
    """By name, every function of the folder; a file that cannot be is the error that says why."""
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        try:
            yield path.stem, read_function(path)
        except BadFunction as error:
            yield path.stem, error


def read_function(path: Path) -> Function:
    """Raises BadFunction."""
    name = path.stem
    if not _NAME.fullmatch(name):
        raise BadFunction(f"{path}: a function's name has small letters, digits, - and _, and begins with a letter")
    try:
        text = path.read_bytes()
        settings = Deployment.model_validate(tomllib.loads(text.decode()))
        if settings.builtin:
            source, function = Path(str(files("streams.functions.builtin"))) / f"{settings.builtin}.py", "handler"
        else:
            module, _, function = settings.handler.partition(".")
            source = path.with_name(f"{module}.py")
        _require(path, source, closed_to=_OTHERS_WRITE)
        code = source.read_bytes()
        secrets = _secrets(path.with_name(settings.webhook.secret_file)) if settings.webhook is not None else ()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors())
        raise BadFunction(f"{path}: {problems}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadFunction(f"{path}: {error}") from error
    version = hashlib.blake2b(text + b"\0" + code, digest_size=6).hexdigest()
    return Function(name, settings, source.resolve(), function, version, secrets)


def _require(*paths: Path, closed_to: int) -> None:
    """Raises ValueError for a file with which others may do what is theirs alone."""
    for path in paths:
        if path.stat().st_mode & closed_to:
            what, remedy = ("write to", "o-w") if closed_to == _OTHERS_WRITE else ("read the secrets in", "600")
            raise ValueError(f"other users may {what} {path}: chmod {remedy} {path}")


def _secrets(path: Path) -> tuple[str, ...]:
    _require(path, closed_to=_OTHERS)
    found = tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    if not found or not all(re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}", one) for one in found):
        raise ValueError(f"{path}: a line is not a secret: whsec_ and 24 to 64 random bytes in base64")
    return found
