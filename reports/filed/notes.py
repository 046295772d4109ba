"""What the role `make-reports` knows beside the reports, in making.json: days without anything to report, and why a day could not be made."""

import json
from dataclasses import dataclass, field
from typing import Final

from reports.filed.stored import write_json
from schemas.errors import StaleData
from schemas.settings import Settings

NOTES: Final = "making.json"


@dataclass
class Notes:
    """For whoever shows how the days stand, and so that no closed day is read twice."""

    nothing: set[str] = field(default_factory=set)
    not_made: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, settings: Settings) -> "Notes":
        """Raises StaleData for a file that cannot be read."""
        path = settings.reports_folder / NOTES
        try:
            found = json.loads(path.read_text())
            return cls(set(map(str, found["nothing"])), dict(found["not_made"]))
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError) as error:
            raise StaleData(f"{path} cannot be read ({type(error).__name__} {error}): remove it, and it is made again") from None

    def keep(self, settings: Settings) -> None:
        """Raises OSError."""
        write_json(settings.reports_folder / NOTES, {"nothing": sorted(self.nothing), "not_made": self.not_made})
