"""What schemathesis must know of this exchange beyond its OpenAPI document; loaded by support.openapi_run."""

from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import IgnoredAuth, ignored_auth


@schemathesis.check
def a_key_is_needed(ctx: Any, response: Any, case: Any) -> bool | None:
    """As the built-in check, which is off: after many wrong keys from one address the answer is 429, and that refuses too."""
    try:
        return ignored_auth(ctx, response, case)
    except IgnoredAuth as failure:
        if "got `429 " in failure.message:
            return None
        raise


@schemathesis.hook
def filter_query(_context: Any, query: dict[str, Any] | None) -> bool:
    """An empty parameter counts as absent. The document says so (allowEmptyValue), and schemathesis does not know the word."""
    return not query or "" not in query.values()
