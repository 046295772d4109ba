"""The audit documents: each once, and what somebody changed is named."""

import random
from collections import Counter
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from sink_session import INSTRUMENTS, START, disturbed, play
from support.memory_log import traded

from schemas.codec import BadBytes
from schemas.enums import AccountEventKind, ExecKind
from schemas.errors import StaleData
from schemas.instruments import load_instruments
from sinks.elastic import queries as elastic_queries
from sinks.elastic.indices import EXECUTIONS as AUDIT_EXECUTIONS
from sinks.elastic.retention import Hold, Prune, Recorded, Retention, day_of_index
from sinks.elastic.sink import ElasticSink
from sinks.elastic.trail_days import documents_by_day
from streams.host.sink_feeder import input_of
from streams.proofs.audit_elastic import reconcile
from streams.proofs.audit_trail import prune_days
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS

pytestmark = pytest.mark.integration


async def test_elasticsearch_has_each_decision_and_account_event_once(stores: Any, elastic: Any) -> None:
    """Counts by kind equal the log's after a delivery full of repetitions, and an order can be followed through both shards."""
    session = play(8)
    sink = await ElasticSink.connect(stores[1].elasticsearch_url, INSTRUMENTS)
    for batch in disturbed(session.inputs, random.Random(8)):
        await sink.write_batch(batch)
    await elastic_queries.refresh(elastic)
    derived = (ExecKind.LEVEL, ExecKind.TOP, ExecKind.TIME, ExecKind.AUCTION_INDICATIVE)
    expected = {ExecKind(kind).name: int((session.executions["kind"] == kind).sum()) for kind in set(session.executions["kind"].tolist())}
    assert await elastic_queries.execution_counts(elastic) == {
        name: count for name, count in expected.items() if ExecKind[name] not in derived
    }
    kinds = session.events["kind"].tolist()
    assert await elastic_queries.account_event_counts(elastic) == {AccountEventKind(kind).name: kinds.count(kind) for kind in set(kinds)}
    assert await elastic_queries.trade_count(elastic) == expected["TRADE"]
    assert sink.stats().rows == sum(expected[k] for k in expected if ExecKind[k] not in derived) + len(kinds)
    traded = next(row for row in session.events if row["kind"] == AccountEventKind.TRADE)
    history = await elastic_queries.order_events(elastic, int(traded["order_id"]))
    assert {"ACCEPTED", "NEW", "TRADE"} <= {one["kind"] for one in history}
    trade = next(one for one in history if one["kind"] == "TRADE" and "last_px" in one)
    assert (trade["last_px"], trade["last_px_display"]) == (int(traded["last_px"]), int(traded["last_px"]) / 100)
    await sink.close()


async def test_documents_that_somebody_changed_deleted_or_added_are_named(stores: Any, elastic: Any) -> None:
    """By the comparison with the log they came from; before that nothing is."""
    log, table = traded().log, load_instruments(None)
    sink = await ElasticSink.connect(stores[1].elasticsearch_url, table)
    for topic in (EXECUTIONS, ACCOUNT_EVENTS):
        for partition in range(log.partitions(topic)):
            for record in log.parts[topic.name, partition]:
                with suppress(BadBytes):
                    await sink.write_batch([input_of(record)])
    await sink.close()
    compared = await reconcile(stores[1], log, table, quiet=True)
    assert [one.first for one in compared] == [[]] * len(compared)
    assert sum(one.documents for one in compared) > 20
    hits = (await elastic.search(index="audit-executions-*", query={"term": {"kind": "TRADE"}}))["hits"]["hits"]
    altered, deleted = hits[0], hits[1]
    await elastic.update(index=altered["_index"], id=altered["_id"], doc={"price": 1})
    await elastic.delete(index=deleted["_index"], id=deleted["_id"])
    await elastic.index(index=altered["_index"], id="forged", document=altered["_source"])
    await elastic.index(index=altered["_index"], id="stray", document={**altered["_source"], "partition": 9})
    told = [line for one in await reconcile(stores[1], log, table, quiet=True) for line in one.first]
    assert len(told) == 4, told
    for words in (f"ALTERED {altered['_id']} of ", f"MISSING {deleted['_id']} of ", "ADDITIONAL forged in ", "ADDITIONAL stray in "):
        assert any(line.startswith(words) for line in told), (words, told)


async def test_a_pruned_day_is_told_from_documents_that_somebody_deleted(stores: Any, elastic: Any) -> None:
    """A day on hold stays; rebuilt indices are pruned too; a document of a day that was not pruned is missing, whoever says what."""
    log, table, settings = traded().log, load_instruments(None), stores[1]
    for generation in ("", "17"):
        sink = await ElasticSink.connect(settings.elasticsearch_url, table, generation)
        for topic in (EXECUTIONS, ACCOUNT_EVENTS):
            for record in log.parts[topic.name, 0]:
                with suppress(BadBytes):
                    await sink.write_batch([input_of(record)])
        await sink.close()
    (index,) = (await elastic.indices.get(index="rebuild-audit-executions-*")).keys()
    name = index.removeprefix("rebuild-").removesuffix("-17")
    actions = [{"remove_index": {"index": name}}, {"add": {"index": index, "alias": name}}]
    await elastic.indices.update_aliases(actions=actions)
    day = day_of_index(name)
    assert day is not None
    old = "audit-alerts-2020.01.02"
    await elastic.index(index=old, id="a", document={"topic": "alerts", "partition": 0, "offset": 0}, refresh=True)
    assert list(await documents_by_day(elastic)) == [date(2020, 1, 2), day]
    hold = Recorded(Hold("case-7", date(2020, 1, 1), date(2020, 1, 31), "inquiry"), 1, 0, "ann@host")
    acts = Retention.of([hold, Recorded(Prune(day + timedelta(days=1)), 2, 0, "ann@host")])
    gone = await prune_days(settings, acts)
    assert list(gone) == [day]
    assert not await elastic.indices.exists(index=index)
    assert await elastic.indices.exists(index=old), "it is on hold"
    assert not await prune_days(settings, acts), "there is nothing left to delete"
    compared = {one.partition: one for one in await reconcile(settings, log, table, quiet=True, retention=acts)}
    pruned = sum((one.pruned for one in compared.values()), Counter())
    assert pruned[2] > gone[day], "what was never stored is pruned as well: of partition 1 nothing was"
    assert not compared["executions/0"].differences
    before = Retention.of([hold, Recorded(Prune(day), 2, 0, "ann@host")])
    missing = [line for one in await reconcile(settings, log, table, quiet=True, retention=before) for line in one.first]
    assert any(line.startswith("MISSING ") and "executions/0" in line for line in missing)


async def test_a_document_that_the_index_refuses_stops_the_sink(stores: Any, elastic: Any) -> None:
    """An index that another program made, with another mapping: nothing is dropped silently."""
    sink = await ElasticSink.connect(stores[1].elasticsearch_url, INSTRUMENTS)
    day = str(np.datetime64(START, "ns").astype("M8[D]")).replace("-", ".")
    mappings = {"properties": {"symbol": {"type": "long"}}}
    await elastic.indices.create(index=f"{AUDIT_EXECUTIONS}-{day}", mappings=mappings)
    with pytest.raises(StaleData, match="audit-executions"):
        await sink.write_batch(play(9, turns=3).inputs)
    assert sink.stats().batches == 0
    await sink.close()
