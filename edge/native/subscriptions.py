"""What one connection has subscribed to, and what it has missed of that.

Rules
* All channels of a request or, if one is wrong, none.
* A channel begins with a snapshot, or with everything behind the place from which the client resumes: never with a part.
* From the moment at which a channel is joined to the last of what it begins with, nothing else runs. So nothing falls between.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

from access.api_keys import Scope
from edge.gateway.access.sessions import Session
from edge.http.client_data import quoted
from edge.native.channels.account_streams import AccountStream
from edge.native.channels.live import Told
from edge.native.channels.names import PRIVATE, ChannelName, parse_channel
from edge.native.desk import Desk
from edge.native.hub import Channel, Talk
from edge.native.limits import CHANNELS_PER_MESSAGE_MAX, PUSH_BYTES, REPLAY_CHUNK, SUBSCRIPTIONS_MAX
from edge.native.orders.operations import require
from edge.native.wire.fields import Fields
from edge.native.wire.problems import Problem, invalid, not_logged_on, value_of

_SEQ_MAX: Final = (1 << 63) - 1


class Subscriber(Talk, Protocol):
    """The conversation."""

    session: Session | None

    def send(self, body: dict[str, Any]) -> None:
        """To this client alone, now."""


class Subscriptions:
    """Of one connection."""

    def __init__(self, desk: Desk, subscriber: Subscriber) -> None:
        self._desk, self._gateway, self._hub, self._subscriber = desk, desk.gateway, desk.hub, subscriber
        self._channels: dict[str, Channel] = {}
        self._begun: list[tuple[Channel, list[Told] | None]] = []
        """Joined by the request that is being answered, with what was missed; None: all."""
        self.operations: dict[str, Callable[[Fields], Coroutine[Any, Any, dict[str, Any]]]] = {
            "subscribe": self._subscribe,
            "resume": self._resume,
            "unsubscribe": self._unsubscribe,
        }

    def leave(self) -> None:
        """The connection has ended."""
        for channel in self._channels.values():
            self._hub.leave(self._subscriber, channel)
        self._channels.clear()

    def tell_missed(self) -> None:
        """What the channels begin with, once the request has its answer."""
        begun, self._begun = self._begun, []
        for channel, missed in begun:
            if missed is None:
                self._subscriber.send(channel.snapshot())
                continue
            for start in range(0, len(missed), REPLAY_CHUNK):  # made as fast as the client reads
                part = missed[start : start + REPLAY_CHUNK]
                self._subscriber.out.send_made_nowait(len(part) * PUSH_BYTES, partial(self._frames, channel, part))

    def _frames(self, channel: Channel, part: list[Told]) -> bytes:
        return b"".join(self._subscriber.encoding.frame(channel.push_of(one)) for one in part)

    # ---- requests

    async def _subscribe(self, fields: Fields) -> dict[str, Any]:
        """`channels`: names."""
        names = fields.items("channels", CHANNELS_PER_MESSAGE_MAX)
        fields.done()
        if not names:
            raise fields.missing("channels")
        return await self._begin([(name, None, None) for name in names])

    async def _resume(self, fields: Fields) -> dict[str, Any]:
        """`channels`: [{"ch", "epoch", "seq"}]: go on behind these places."""
        places = fields.objects("channels", CHANNELS_PER_MESSAGE_MAX)
        fields.done()
        if not places:
            raise fields.missing("channels")
        asked: list[tuple[Any, str | None, int | None]] = []
        for one in places:
            seq = one.whole("seq", 0, _SEQ_MAX)
            if seq is None:
                raise one.missing("seq")
            asked.append((one.need("ch"), one.need("epoch"), seq))
            one.done()
        return await self._begin(asked)

    async def _unsubscribe(self, fields: Fields) -> dict[str, Any]:
        """`channels`: names."""
        names = fields.items("channels", CHANNELS_PER_MESSAGE_MAX)
        fields.done()
        if not names:
            raise fields.missing("channels")
        for name in names:
            if not isinstance(name, str) or name not in self._channels:
                raise Problem("not_subscribed", f"{quoted(name)} is not subscribed", channel=str(name)[:80])
        for name in set(names):
            self._hub.leave(self._subscriber, self._channels.pop(name))
        return {"channels": names}

    # ---- how channels begin

    async def _begin(self, asked: list[tuple[Any, str | None, int | None]]) -> dict[str, Any]:
        """Join (name, epoch, place); what the answer says. Raises Problem."""
        names = [parse_channel(name, self._gateway.instruments) for name, _, _ in asked]
        if len({one.text for one in names}) < len(names):
            raise invalid("channels", "names a channel twice")
        if len(self._channels.keys() | {one.text for one in names}) > SUBSCRIPTIONS_MAX:
            raise Problem("limit_reached", f"a connection has at most {SUBSCRIPTIONS_MAX} channels")
        stream = await self._ready(names)
        if self._subscriber.out.is_ending:
            return {}
        return {"channels": [self._join(name, stream, epoch, seq) for name, (_, epoch, seq) in zip(names, asked, strict=True)]}

    async def _ready(self, names: Sequence[ChannelName]) -> AccountStream | None:
        """Wait for what the channels tell; the account's stream, where they need one. Raises Problem."""
        private = [one for one in names if one.kind in PRIVATE]
        session = self._subscriber.session
        if private:
            self._desk.need_accounts()
            session = session or not_logged_on()
            require(session, Scope.READ)
        if len(private) < len(names):
            value_of(await self._gateway.market_caught_up())
        if not private:
            return None
        assert session is not None
        return self._hub.accounts.stream(value_of(await self._gateway.accounts.view(session.account)))

    def _join(self, name: ChannelName, stream: AccountStream | None, epoch: str | None, seq: int | None) -> dict[str, Any]:
        """What the answer says of the channel."""
        hub, channel = self._hub, self._channel(name, stream)
        self._channels[channel.name] = channel
        told: dict[str, Any] = {"ch": channel.name, "epoch": hub.epoch(name.kind), "seq": channel.last}
        missed = None
        if seq is not None:
            missed = channel.after(seq) if epoch == told["epoch"] else None
            told["recovered"] = recovered = missed is not None
            hub.resumed += recovered
            hub.not_resumed += not recovered
        self._begun.append((channel, missed))
        return told

    def _channel(self, name: ChannelName, stream: AccountStream | None) -> Channel:
        if stream is None or name.kind not in PRIVATE:
            return self._hub.join(self._subscriber, name)
        channel = stream.orders if name.kind == "orders" else stream.account
        channel.members.add(self._subscriber)
        return channel
