"""`outcry audit elasticsearch`: documents that are missing, altered or additional are named with their place."""

from copy import deepcopy
from datetime import date, timedelta

import pytest
from support.memory_log import INSTRUMENTS, traded

from sinks.elastic.retention import Hold, Prune, Recorded, Retention, day_of_index
from streams.host.read_log import Meter
from streams.proofs.audit_elastic import compare, expected_documents
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS


@pytest.fixture(scope="module")
def log():
    """Of a finished session, with bad bytes in it."""
    return traded().log


def wanted(log, topic=EXECUTIONS, partition=1):
    """What the log says there is."""
    with Meter("", 0, quiet=True) as meter:
        return list(expected_documents(log, topic, partition, len(log.parts[topic.name, partition]), INSTRUMENTS, meter))


async def found(documents, there, end=10**9):
    """What a comparison tells."""

    async def stored():
        for one in there:
            yield one

    compared = await compare("executions/1", iter(documents), stored(), end)
    assert compared.differences == len(compared.first)
    return compared.first


async def test_documents_that_are_as_the_log_says_give_no_finding(log):
    """Of every partition; repeats of frames make no second document."""
    for topic in (EXECUTIONS, ACCOUNT_EVENTS):
        for partition in range(2):
            documents = wanted(log, topic, partition)
            assert documents
            assert await found(documents, documents) == []
    assert [key for key, _ in documents] == sorted(key for key, _ in documents)


async def test_each_kind_of_difference_is_named(log):
    """With the document, the offset and the field."""
    documents = wanted(log)
    there = deepcopy(documents)
    (offset, name), _ = there.pop(1)
    key, (index, source) = there[3]
    source["price"] = 1
    there[5] = (there[5][0], ("audit-executions-1999.01.01", there[5][1][1]))
    forged = ((documents[0][0][0], "forged"), (index, source))
    there.insert(1, forged)
    told = await found(documents, sorted(there, key=lambda one: one[0]))
    assert len(told) == 4
    assert f"MISSING {name} of executions/1 offset {offset:,}" in told
    assert any(line.startswith(f"ALTERED {key[1]} of executions/1 offset {key[0]:,}: price is 1, the log says ") for line in told)
    assert any(line.startswith("ADDITIONAL forged in audit-executions-") for line in told)
    assert any("it is in audit-executions-1999.01.01 instead of audit-executions-" in line for line in told)


async def test_every_document_missing_or_every_one_additional(log):
    """Neither side has to have any."""
    documents = wanted(log)
    assert len(await found(documents, [])) == len(documents)
    assert len(await found([], documents)) == len(documents)


async def test_a_rebuilt_index_is_the_same_and_what_came_later_does_not_count(log):
    """Its name says when it was rebuilt; the sink goes on while the comparison runs."""
    documents = wanted(log)
    rebuilt = [(key, (f"rebuild-{index}-17", source)) for key, (index, source) in documents]
    assert await found(documents, rebuilt) == []
    end = documents[-1][0][0]
    assert await found([one for one in documents if one[0][0] < end], documents, end) == []


async def test_documents_of_pruned_days_are_told_as_pruned_and_others_as_missing(log):
    """A day that somebody held stays one whose documents have to be there; what is left of a pruned day is compared all the same."""
    documents = wanted(log)
    day = day_of_index(documents[0][1][0])
    assert {day_of_index(index) for _, (index, _) in documents} == {day}
    prune = Recorded(Prune(day + timedelta(days=1)), 7, 0, "ann@host")
    hold = Recorded(Hold("case-7", day, day, "inquiry"), 6, 0, "ann@host")

    async def compared(there, *acts):
        async def stored():
            for one in there:
                yield one

        return await compare("executions/1", iter(documents), stored(), 10**9, Retention.of(acts))

    gone = await compared([], prune)
    assert (gone.differences, gone.pruned, gone.left) == (0, {7: len(documents)}, 0)
    kept = await compared([], hold, prune)
    assert (kept.differences, kept.pruned) == (len(documents), {})
    earlier = Recorded(Prune(date(2000, 1, 1)), 5, 0, "ann@host")
    assert (await compared(documents[1:], earlier)).first == [f"MISSING {documents[0][0][1]} of executions/1 offset {documents[0][0][0]:,}"]
    there = deepcopy(documents)
    there[0][1][1]["price"] = -1
    left = await compared(there, prune)
    assert (left.differences, left.left, left.pruned) == (1, len(documents), {})
