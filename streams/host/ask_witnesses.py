"""Have witnesses cosign checkpoints. A witness that is down delays nothing but its own cosignature.

In:     the newest checkpoint of each log
Out:    its file checkpoint.cosigned, once enough witnesses have signed
On failure: asked again, less and less often. A witness that says that the log has forked or shrunk is an alarm: metric, log line, status.
Source: https://c2sp.org/tlog-witness.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import prometheus_client
import structlog

from audit.findings import Unchecked, Wrong
from audit.log_store import LogStore
from audit.notes import Checkpoint, Note, PublicKey, Signature, decimal, parse_signature
from audit.policy import Policy
from audit.tiles import LogFiles
from audit.tree import consistency_path
from audit.witness import SIZE_TYPE, Request

log = structlog.get_logger("outcry.streams")

ASK_EVERY_S: Final = 1.0
ANSWER_TIMEOUT_S: Final = 5.0
REST_FIRST_S: Final = 1.0
REST_LAST_S: Final = 60.0
"""A witness that does not answer is left alone for so long, at first and at last."""
ANSWER_BYTES_MAX: Final = 65_536
ALARMS: Final = frozenset({"fork", "shrunk"})
COSIGNED: Final = prometheus_client.Gauge("outcry_audit_cosigned_entries", "entries of the newest cosigned checkpoint", ["log"])
FAILURES: Final = prometheus_client.Counter(
    "outcry_audit_witness_failures",
    "requests that a witness did not answer (away), or refused (refused, shrunk, fork)",
    ["witness", "what"],
)


class Refused(Exception):
    """A witness does not cosign. what: for the metric."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(why)
        self.what = what


class Witnesses:
    """Asks all witnesses of a policy for all logs."""

    def __init__(self, policy: Policy, stores: Sequence[LogStore], clock: Callable[[], float] = time.monotonic) -> None:
        self._policy, self._stores, self._clock = policy, stores, clock
        self._sizes: dict[tuple[str, str], int] = {}
        """What a witness has of a log, as far as is known."""
        self._rest_until: dict[str, float] = defaultdict(float)
        self._rest_s: dict[str, float] = {}
        self.troubles: dict[str, str] = {}
        """By witness, or witness and log, why it does not cosign."""
        self.alarms: dict[str, str] = {}
        """By log, that a witness says that it has forked or shrunk."""

    async def keep(self) -> None:
        """Ask for ever."""
        if not self._policy.urls:
            return
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_TIMEOUT_S)) as session:
            while True:
                await asyncio.gather(*(self.cosign(session, store) for store in self._stores))
                await asyncio.sleep(ASK_EVERY_S)

    async def cosign(self, session: aiohttp.ClientSession, store: LogStore) -> bool:
        """One round for one log: whether enough witnesses have signed its newest checkpoint."""
        note, newest = store.note, await asyncio.to_thread(store.cosigned)
        COSIGNED.labels(store.origin).set(Checkpoint.parse(newest.text).size if newest is not None else 0)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.size == 0 or (newest is not None and newest.text == note.text):
            return newest is not None
        answers = await asyncio.gather(*(self._signature_of(session, name, store, note, checkpoint) for name in self._policy.urls))
        signed = Note(note.text, (*note.signatures, *(one for one in answers if one is not None)))
        cosigners = self._policy.cosigners(signed, "checkpoint")
        if not cosigners or not self._policy.is_reached(cosigners):
            return False
        try:
            await asyncio.to_thread(store.publish_cosigned, signed)
        except OSError as error:  # asked again; the witness signs the same checkpoint once more
            log.warning("a cosigned checkpoint is not written", log=store.origin, detail=str(error))
            return False
        COSIGNED.labels(store.origin).set(checkpoint.size)
        return True

    async def _signature_of(
        self, session: aiohttp.ClientSession, name: str, store: LogStore, note: Note, checkpoint: Checkpoint
    ) -> Signature | None:
        if self._clock() < max(self._rest_until[name], self._rest_until[f"{name} for {store.origin}"]):
            return None
        try:
            found = await self._ask(session, name, store, note, checkpoint)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._rest(name, name, "away", f"{type(error).__name__}: {error}".rstrip(": "))
        except (Refused, Wrong, Unchecked) as error:
            what = error.what if isinstance(error, Refused) else "refused"
            if what in ALARMS:
                self.alarms[store.origin] = str(error)
            self._rest(name, f"{name} for {store.origin}", what, str(error))
        else:
            self.alarms.pop(store.origin, None)
            for case in (name, f"{name} for {store.origin}"):
                self._rest_s.pop(case, None)
                if self.troubles.pop(case, ""):
                    log.info("a witness cosigns again", witness=case)
            return found
        return None

    async def _ask(self, session: aiohttp.ClientSession, name: str, store: LogStore, note: Note, checkpoint: Checkpoint) -> Signature:
        """Twice, if the witness has another size than was thought. Raises Refused, Wrong, ClientError."""
        key, address = self._policy.witnesses[name], self._policy.urls[name].rstrip("/") + "/add-checkpoint"
        for _ in range(2):
            old = self._sizes.get((name, store.origin), 0)
            nodes = LogFiles(str(store.folder)).nodes(checkpoint.size)
            proof = await asyncio.to_thread(consistency_path, nodes, old, checkpoint.size)
            async with session.post(address, data=bytes(Request(old, proof, bytes(note)))) as answer:
                body = (await answer.content.read(ANSWER_BYTES_MAX)).decode(errors="replace")
                status, content_type = answer.status, answer.content_type
            if status == 200:
                self._sizes[name, store.origin] = checkpoint.size
                return _own_signature(key, note, body)
            if status != 409 or content_type != SIZE_TYPE:
                raise Refused(
                    "fork" if status == 422 else "refused", f"{store.origin}: it answers {status}: {' '.join(body.split())[:200]}"
                )
            known = decimal(body.removesuffix("\n"), f"the answer of {name}")
            if known > checkpoint.size:
                why = f"{store.origin} has {checkpoint.size} entries, but the witness has cosigned {known}: it has shrunk, or is being made anew"
                raise Refused("shrunk", why)
            if known == old == checkpoint.size:
                raise Refused("fork", f"{store.origin} has forked: the witness has cosigned another tree of {known} entries")
            if known == old:
                break
            self._sizes[name, store.origin] = known
        raise Refused("refused", f"{store.origin}: it says that it has another size, and then the same one")

    def _rest(self, name: str, case: str, what: str, why: str) -> None:
        """case: the witness, or the witness for one log. What it is asked at the same time for other logs fails with it and counts once."""
        FAILURES.labels(name, what).inc()
        if self._clock() < self._rest_until[case]:
            return
        rest_s = self._rest_s[case] = min(2 * self._rest_s.get(case, REST_FIRST_S / 2), REST_LAST_S)
        self._rest_until[case] = self._clock() + rest_s
        if self.troubles.get(case) != why:
            (log.error if what in ALARMS else log.warning)(
                "a witness does not cosign", witness=case, what=what, detail=why, again_in_s=rest_s
            )
        self.troubles[case] = why


def _own_signature(key: PublicKey, note: Note, body: str) -> Signature:
    """The witness's own signature among the lines of its answer. Raises Wrong; others are ignored."""
    for line in body.removesuffix("\n").split("\n"):
        found = parse_signature(line, f"the answer of {key.name}")
        if (found.name, found.key_id) == (key.name, key.key_id):
            key.verify(note.text, found.signature, f"the answer of {key.name}")
            return found
    raise Wrong(f"the answer of {key.name}", "it has no signature of its key")
