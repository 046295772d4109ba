"""The external scaler, as the client that KEDA generates for itself (a Go module) calls it. Without Go, or its modules, those tests are skipped and say so."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import grpc.aio
import pytest

from schemas.errors import OutcryError, ServiceUnavailable
from streams.keda import externalscaler_pb2 as wire
from streams.keda.scaler import SERVICE, Scaler

CLIENT = Path(__file__).parent / "client"
ROOT = Path(__file__).parents[4]


class Counts:
    """What the scaler serves, set by a test."""

    def __init__(self) -> None:
        self.counts = {"edge": 7}

    def roles(self) -> frozenset[str]:
        return frozenset({"edge", "persist-mysql"})

    def wanted(self, role: str) -> int:
        if role not in self.counts:
            raise ServiceUnavailable(f"there is no count of {role}: starting")
        return self.counts[role]

    def floor(self, role: str) -> int:
        return 2


@pytest.fixture
async def served():
    """The counts, and the address of a scaler over them."""
    counts = Counts()
    scaler = Scaler(counts)
    port = await scaler.start("127.0.0.1:0")
    yield counts, f"127.0.0.1:{port}"
    await scaler.stop()


def method(channel, name, answer, stream=False):
    """A call of the service."""
    make = channel.unary_stream if stream else channel.unary_unary
    return make(f"/{SERVICE}/{name}", request_serializer=lambda said: said.SerializeToString(), response_deserializer=answer.FromString)


def ref(**metadata):
    """A trigger with this metadata."""
    return wire.ScaledObjectRef(name="edge", namespace="exchange", scalerMetadata=metadata)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """KEDA's own, built once."""
    if shutil.which("go") is None:
        pytest.skip("KEDA's generated client: needs Go")
    program = tmp_path_factory.mktemp("go") / "client"
    built = subprocess.run(["go", "build", "-p", "1", "-o", program, "."], cwd=CLIENT, capture_output=True, text=True, check=False)
    if built.returncode and ("dial tcp" in built.stderr or "proxy" in built.stderr.lower()):
        pytest.skip(f"KEDA's generated client: its modules cannot be fetched: {built.stderr[-200:]}")
    assert built.returncode == 0, built.stderr
    return program


async def say(client, address, *pairs):
    """What the client prints."""
    done = await asyncio.create_subprocess_exec(client, address, *pairs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await done.communicate()
    assert done.returncode == 0, err
    return out.decode().splitlines()


@pytest.mark.slow
async def test_kedas_generated_client_calls_every_method(client, served):
    """Names, integers and floats arrive as they were meant."""
    assert await say(client, served[1], "role=edge", "targetSize=2.5") == [
        "IsActive true", "StreamIsActive true", "GetMetricSpec outcry-wanted-edge 2 2.5", "StreamMetricSpec 1 outcry-wanted-edge",
        "GetMetrics outcry-wanted-edge 18 17.5",
    ]  # fmt: skip


@pytest.mark.slow
async def test_kedas_generated_client_hears_what_is_wrong(client, served):
    """A misspelt key in the manifest."""
    lines = await say(client, served[1], "rôle=edge")
    assert lines[0].startswith("IsActive InvalidArgument: exchange/edge: metadata has unknown rôle")


async def test_a_count_is_served_as_integer_and_float(served):
    """With a target of one, the value is the count."""
    async with grpc.aio.insecure_channel(served[1]) as channel:
        asked = wire.GetMetricsRequest(scaledObjectRef=ref(role="edge"), metricName="outcry-wanted-edge")
        (value,) = (await method(channel, "GetMetrics", wire.GetMetricsResponse)(asked)).metricValues
        assert (value.metricName, value.metricValue, value.metricValueFloat) == ("outcry-wanted-edge", 7, 7.0)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "role '' has no count; there are edge, persist-mysql"),
        ({"role": "match-orders"}, "role 'match-orders' has no count"),
        ({"role": "edge", "target": "1"}, "metadata has unknown target"),
        ({"role": "edge", "targetSize": "0"}, "targetSize '0' is not a number above 0"),
        ({"role": "edge", "targetSize": "nan"}, "targetSize 'nan' is not a number above 0"),
        ({"role": "edge", "targetSize": "many"}, "targetSize 'many' is not a number above 0"),
    ],
)
async def test_a_trigger_that_is_wrong_is_refused_with_a_sentence(served, metadata, said):
    """By every call that takes it."""
    async with grpc.aio.insecure_channel(served[1]) as channel:
        for name, answer in (("IsActive", wire.IsActiveResponse), ("GetMetricSpec", wire.GetMetricSpecResponse)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await method(channel, name, answer)(ref(**metadata))
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert said in (refused.value.details() or "")


async def test_a_count_that_is_not_known_is_an_error_and_the_role_stays_active(served):
    """No guess, and never zero processes because the forecast knows nothing."""
    async with grpc.aio.insecure_channel(served[1]) as channel:
        asked = wire.GetMetricsRequest(scaledObjectRef=ref(role="persist-mysql"), metricName="outcry-wanted-persist-mysql")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(channel, "GetMetrics", wire.GetMetricsResponse)(asked)
        assert (refused.value.code(), refused.value.details()) == (
            grpc.StatusCode.UNAVAILABLE, "there is no count of persist-mysql: starting",
        )  # fmt: skip
        assert (await method(channel, "IsActive", wire.IsActiveResponse)(ref(role="persist-mysql"))).result


async def test_another_metrics_name_is_refused(served):
    """Of another role, for instance."""
    async with grpc.aio.insecure_channel(served[1]) as channel:
        asked = wire.GetMetricsRequest(scaledObjectRef=ref(role="edge"), metricName="s0-outcry-wanted-edge")
        with pytest.raises(grpc.aio.AioRpcError, match="is not that of edge, outcry-wanted-edge"):
            await method(channel, "GetMetrics", wire.GetMetricsResponse)(asked)


async def test_a_stream_tells_its_first_answer_at_once(served):
    """And stays open until the client goes."""
    async with grpc.aio.insecure_channel(served[1]) as channel:
        call = method(channel, "StreamMetricSpec", wire.GetMetricSpecResponse, stream=True)(ref(role="edge"))
        first = await call.read()
        assert [one.metricName for one in first.metricSpecs] == ["outcry-wanted-edge"]
        assert not call.done()
        call.cancel()


async def test_an_address_that_is_taken_is_told(served):
    """With the address."""
    with pytest.raises(OutcryError, match=f"cannot listen on {served[1]}"):
        await Scaler(Counts()).start(served[1])


def test_the_messages_are_those_of_the_proto(tmp_path):
    """`make proto` was run after the last change."""
    pytest.importorskip("grpc_tools")
    made = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I.",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
        "streams/keda/externalscaler.proto",
    ]
    subprocess.run(made, cwd=ROOT, check=True)
    for name in ("externalscaler_pb2.py", "externalscaler_pb2.pyi"):
        assert (tmp_path / "streams" / "keda" / name).read_text() == (ROOT / "streams" / "keda" / name).read_text()
