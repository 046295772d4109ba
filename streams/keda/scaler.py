"""A server of KEDA's external scaler: one metric, the wanted count of the role that a trigger names.

Trigger metadata (strings, as KEDA has them): `role`, required; `targetSize`, what one replica takes of the metric, 1 unless it is given. The metric is
`outcry-wanted-ROLE`. A count that is not known is an error with a sentence, never a guess: KEDA then keeps what there is, or takes its `fallback`.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import grpc
import grpc.aio

from schemas.errors import OutcryError, ServiceUnavailable
from streams.keda import externalscaler_pb2 as wire

SERVICE: Final = "externalscaler.ExternalScaler"
PREFIX: Final = "outcry-wanted-"
LOOK_S: Final = 1.0
"""Between two looks at what a stream tells."""
TARGET_MAX: Final = 1e6
_CONNECTION: Final = frozenset({"scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey"})
"""Keys that KEDA itself reads; a version of it may pass them on."""
Question = TypeVar("Question")
Answer = TypeVar("Answer")
_KNOWN: Final = frozenset({"role", "targetSize"})


class Wanted(Protocol):
    """What is served."""

    def roles(self) -> frozenset[str]:
        """That it has counts for."""

    def wanted(self, role: str) -> int:
        """Processes. Raises ServiceUnavailable while that is not known."""

    def floor(self, role: str) -> int:
        """Below which `wanted` never is."""


class BadTrigger(OutcryError):
    """Metadata that the scaler does not understand."""


def role_of(ref: wire.ScaledObjectRef, roles: frozenset[str]) -> tuple[str, float]:
    """The role of a trigger, and what one replica takes. Raises BadTrigger."""
    given, where = dict(ref.scalerMetadata), f"{ref.namespace}/{ref.name}"
    if unknown := sorted(set(given) - _KNOWN - _CONNECTION):
        raise BadTrigger(f"{where}: metadata has unknown {', '.join(unknown)}; there are role, targetSize")
    role = given.get("role", "")
    if role not in roles:
        raise BadTrigger(f"{where}: role {role!r} has no count; there are {', '.join(sorted(roles))}")
    try:
        target = float(given.get("targetSize", "1"))
    except ValueError:
        target = math.nan
    if not 0 < target <= TARGET_MAX:
        raise BadTrigger(f"{where}: targetSize {given['targetSize']!r} is not a number above 0")
    return role, target


class Scaler:
    """See the head of this module."""

    def __init__(self, source: Wanted) -> None:
        self._source = source
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str) -> int:
        """Listen on host:port; returns the port. Raises OutcryError where that is not possible."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))  # two on one port would each get some of the calls
        self._server.add_generic_rpc_handlers((self._handlers(),))
        try:
            port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OutcryError(f"the scaler cannot listen on {address}: {error}") from None
        await self._server.start()
        return port

    async def stop(self) -> None:
        """Close the streams and the socket."""
        if self._server is not None:
            await self._server.stop(grace=0.5)

    def _handlers(self) -> Any:
        one, many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        ref, spec, active = wire.ScaledObjectRef, wire.GetMetricSpecResponse, wire.IsActiveResponse
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "IsActive": one(_refusing(self._is_active), ref.FromString, active.SerializeToString),
                "StreamIsActive": many(self._stream_active, ref.FromString, active.SerializeToString),
                "GetMetricSpec": one(_refusing(self._spec), ref.FromString, spec.SerializeToString),
                "StreamMetricSpec": many(self._stream_spec, ref.FromString, spec.SerializeToString),
                "GetMetrics": one(_refusing(self._metrics), wire.GetMetricsRequest.FromString, wire.GetMetricsResponse.SerializeToString),
            },
        )

    def _is_active(self, ref: wire.ScaledObjectRef) -> wire.IsActiveResponse:
        """A role with a floor is always active: zero processes are never the forecast's to decide while it knows nothing."""
        role, _ = role_of(ref, self._source.roles())
        return wire.IsActiveResponse(result=self._source.floor(role) > 0 or self._source.wanted(role) > 0)

    def _spec(self, ref: wire.ScaledObjectRef) -> wire.GetMetricSpecResponse:
        role, target = role_of(ref, self._source.roles())
        spec = wire.MetricSpec(metricName=PREFIX + role, targetSize=max(1, round(target)), targetSizeFloat=target)
        return wire.GetMetricSpecResponse(metricSpecs=[spec])

    def _metrics(self, request: wire.GetMetricsRequest) -> wire.GetMetricsResponse:
        role, target = role_of(request.scaledObjectRef, self._source.roles())
        if request.metricName != PREFIX + role:
            raise BadTrigger(f"metric {request.metricName!r} is not that of {role}, {PREFIX}{role}")
        value = self._source.wanted(role) * target
        return wire.GetMetricsResponse(
            metricValues=[wire.MetricValue(metricName=request.metricName, metricValue=math.ceil(value), metricValueFloat=value)]
        )

    async def _stream_active(self, ref: wire.ScaledObjectRef, context: Any) -> AsyncIterator[wire.IsActiveResponse]:
        async for said in self._changes(self._is_active, ref, context):
            yield said

    async def _stream_spec(self, ref: wire.ScaledObjectRef, context: Any) -> AsyncIterator[wire.GetMetricSpecResponse]:
        async for said in self._changes(self._spec, ref, context):
            yield said

    async def _changes(
        self, ask: Callable[[wire.ScaledObjectRef], Answer], ref: wire.ScaledObjectRef, context: Any
    ) -> AsyncIterator[Answer]:
        """The answer now, and each that differs from the one before, until the client goes."""
        told = None
        while True:
            said = await _refusing(ask)(ref, context)
            if said != told:
                yield said
                told = said
            await asyncio.sleep(LOOK_S)


def _refusing(ask: Callable[[Question], Answer]) -> Callable[[Question, Any], Awaitable[Answer]]:
    """With what is wrong as a status of gRPC and a sentence."""

    async def answer(question: Question, context: Any) -> Answer:
        try:
            return ask(question)
        except BadTrigger as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except ServiceUnavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        raise AssertionError("abort raises")

    return answer
