"""A DNS server on the loopback, UDP and TCP, that answers as it is told: with records, with errors, late, or never."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.message import Message

# What a name has instead of records.
SERVFAIL, REFUSED, SILENT, EMPTY, GARBAGE, ANOTHER_ID = (
    "SERVFAIL",
    "REFUSED",
    "SILENT",
    "EMPTY",
    "GARBAGE",
    "ANOTHER_ID",
)


@dataclass
class NameServer:
    """TXT records by name, each a list of strings; a word of the above; an alias as `@name`. All else is NXDOMAIN."""

    names: dict[str, list[list[str]] | str] = field(default_factory=dict)
    ttl: int = 300
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    port: int = 0

    async def __aenter__(self) -> NameServer:
        loop = asyncio.get_running_loop()
        for _ in range(20):  # the same port has to be free for both
            self._streams = await asyncio.start_server(self._stream, "127.0.0.1", 0)
            self.port = self._streams.sockets[0].getsockname()[1]
            try:
                self._datagrams, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=("127.0.0.1", self.port)
                )
            except OSError:
                self._streams.close()
                continue
            return self
        raise OSError("no port that is free for UDP and TCP")

    async def __aexit__(self, *_: object) -> None:
        self._datagrams.close()
        self._streams.close()

    @property
    def address(self) -> str:
        """As `dns_servers` has it."""
        return f"127.0.0.1:{self.port}"

    def answer(self, question: bytes, way: str) -> bytes | None:
        """The answer to a message, or None for silence. By UDP it is cut at what the client says that it takes."""
        asked = dns.message.from_wire(question)
        (one,) = asked.question
        name = one.name.to_text(omit_final_dot=True).lower()
        self.asked[name, way] += 1
        response = dns.message.make_response(asked)
        told = self.names.get(name)
        if told == SILENT:
            return None
        if told == GARBAGE:
            return question[:2] + b"\xff" * 20
        if told == ANOTHER_ID:
            response.id = (asked.id + 1) % 65536
            self._put(response, name, [["v=DKIM1; p=forged"]])
            return response.to_wire()
        if told in (SERVFAIL, REFUSED):
            response.set_rcode(dns.rcode.from_text(str(told)))
        elif isinstance(told, str) and told.startswith("@"):
            response.answer.append(dns.rrset.from_text(one.name, self.ttl, "IN", "CNAME", f"{told[1:]}."))
            self._put(response, told[1:], self.names[told[1:]])
        elif told is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif told != EMPTY:
            self._put(response, name, told)
        wire = response.to_wire(max_size=65535)
        if way == "udp" and len(wire) > max(asked.payload, 512):
            cut = dns.message.make_response(asked)
            cut.flags |= dns.flags.TC
            return cut.to_wire()
        return wire

    def _put(self, response: Message, name: str, records: list[list[str]] | str) -> None:
        texts = [" ".join(f'"{text}"' for text in strings) for strings in records]
        response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "TXT", *texts))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        wire = self.answer(await reader.readexactly(length), "tcp")
        if wire is not None:
            writer.write(struct.pack("!H", len(wire)) + wire)
            await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = self._server.answer(data, "udp")
        if wire is not None:
            self._transport.sendto(wire, addr)
