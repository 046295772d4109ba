"""How often Python looks for circles of dead objects. Each look walks what it looks at, and a process of ours has many objects that live."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 20_000
"""A look at the youngest after so many more than before; the default, 700, comes with every second frame. What dies in a circle (a failed request with
its traceback) waits for it: some MB."""
LOOKS_AT_MORE: Final = 20
"""Of so many looks one goes to the next older objects too."""


def look_rarely() -> None:
    """Call when everything that lives as long as the process is there (modules, compiled kernels): that is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, LOOKS_AT_MORE, LOOKS_AT_MORE)
