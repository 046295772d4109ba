"""schemathesis against the running exchange: no request that can be made from /openapi.json gets an answer that the document does not know."""

import re
from pathlib import Path
from typing import Any

from support.openapi_run import openapi_run

from edge.documents.pages import openapi_document
from streams.operate.accounts import Opening, make_api_keys, open_accounts, store_api_keys

ACCOUNT = 901
"""Of this run alone: it withdraws keys."""
SEED = 1


def test_every_answer_is_as_the_document_says_whatever_is_sent(exchange: Any, tmp_path: Path, told: list[str]) -> None:
    """A short run; `make openapi` is a long one."""
    open_accounts(exchange.settings, [Opening(ACCOUNT, 10_000_000_000, {1: 1_000})])
    keys = make_api_keys([ACCOUNT])
    store_api_keys(exchange.settings, keys)
    key = keys[0]
    # what is refused whatever is asked is left to the long run
    options = ("--exclude-by", "/x-answer == refused")
    done = openapi_run(
        exchange.edge_url, key.key_id, key.secret, tmp_path, examples=1, seed=SEED, phases="examples,coverage", options=options
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    counts = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert counts is not None, done.stdout[-2_000:]
    assert counts[1] == counts[2]
    assert int(counts[1]) > 2_000, "something has been asked"
    served = sum(one.get("x-answer") != "refused" for found in openapi_document()["paths"].values() for one in found.values())
    assert f"Selected: {served}/" in done.stdout
    assert f"Tested: {served}" in done.stdout
    told.append(f"schemathesis: {counts[1]} requests made from /openapi.json, 0 failures")
