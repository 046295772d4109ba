"""Requests that another server would read otherwise (request smuggling), and heads without end.

The HTTP parser is aiohttp's: a compiled one, and a readable one where that cannot be had. Each attack is tried on both; a protection is removed from the
readable one.
"""

import asyncio
from typing import Any, Final

import aiohttp.http_parser as parsers
from aiohttp import web_protocol
from attack import attack, edge
from support.served_edge import Served

GET: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
POST: Final = b"POST /sign-in HTTP/1.1\r\nHost: a\r\n"
HIDDEN: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
"""A request within the body of another."""
REFUSED: Final = (b" 400 ", b" 431 ", b" 414 ")


async def raw(port: int, data: bytes, *, until: bytes = b"", wait_s: float = 5.0) -> bytes:
    """What the server answers to these bytes, until it closes, has sent `until`, or has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        writer.write(data)
        async with asyncio.timeout(wait_s):
            while not until or until not in found:
                part = await reader.read(65_536)
                if not part:
                    break
                found += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return found


def port_of(edge: Served) -> int:
    """Where it listens."""
    return int(edge.client.port or 0)


async def _is_read(edge: Served, data: bytes) -> bool:
    """Whether one of the two parsers takes it."""
    compiled: Any = web_protocol.HttpRequestParser
    try:
        for parser in (compiled, parsers.HttpRequestParserPy):
            web_protocol.HttpRequestParser = parser  # type: ignore[misc]
            answer = await raw(port_of(edge), data, until=b"\r\n\r\n", wait_s=5.0)
            if answer and not any(word in answer.split(b"\r\n")[0] for word in REFUSED):
                return True
    finally:
        web_protocol.HttpRequestParser = compiled  # type: ignore[misc]
    return False


DUPLICATES = (parsers, "if not self._lax and name in headers and name.lower() in SINGLETON_HEADERS:", "if False:")
LONG = (parsers, "                    if len(line) > max_line_length:", "                    if False:")
for _name, _data, *_edits in (
    ("hide_a_request_between_two_lengths_of_a_body", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
     (parsers, "            if hdrs.CONTENT_LENGTH in headers:", "            if False:")),
    ("tell_the_length_of_a_body_twice", POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, DUPLICATES),
    ("name_two_hosts", GET + b"Host: b\r\n\r\n", DUPLICATES),
    ("name_no_host", b"GET /healthz HTTP/1.1\r\n\r\n",
     (parsers, "        if version_o == HttpVersion11 and hdrs.HOST not in headers:", "        if False:")),
    ("tell_a_length_with_a_sign", POST + b"Content-Length: +4\r\n\r\nname",
     (parsers, "                            if not DIGITS.fullmatch(length_hdr):", "                            if False:")),
    ("write_a_header_that_a_proxy_does_not_see", POST + b"Content-Length : 4\r\n\r\nname",
     (parsers, "            if {bname[0], bname[-1]} & {32, 9}:  # {\" \", \"\\t\"}", "            if False:"),
     (parsers, "            if not TOKENRE.fullmatch(name):", "            if False:")),
    ("put_a_zero_byte_into_a_header", GET + b"X-A: b\0c\r\n\r\n",
     (parsers, "            elif _FIELD_VALUE_FORBIDDEN_CTL_RE.search(value):", "            elif False:")),
    ("put_a_control_character_into_the_address", b"GET /healthz\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
     (parsers, "        if _TARGET_FORBIDDEN_CTL_RE.search(path):", "        if False:")),
    ("send_headers_without_end", GET + b"".join(b"X-%d: a\r\n" % number for number in range(400)) + b"\r\n",
     (parsers, "                    if len(self._lines) > self.max_headers:", "                    if False:")),
    ("send_a_header_that_fills_the_memory", GET + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n", LONG,
     (parsers, "                    if len(self._tail) > self.max_line_size:", "                    if False:")),
    ("send_an_address_that_fills_the_memory", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", LONG,
     (parsers, "                    if len(self._tail) > self.max_line_size:", "                    if False:")),
    ("code_a_body_in_a_way_that_nobody_knows", POST + b"Transfer-Encoding: chunked, whatever\r\n\r\n" + HIDDEN,
     (parsers, '        raise BadHttpMessage("Request has invalid `Transfer-Encoding`")', "        return False")),
):  # fmt: skip

    async def _tried(edge: Served, data: bytes = _data) -> bool:
        return await _is_read(edge, data)

    attack(_name, _tried, *_edits, door=edge)
