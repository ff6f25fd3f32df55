"""A receiver for what a tunnel sends: the other end of `networks`."""

from dataclasses import replace
from struct import pack, unpack_from
from typing import Any

from sim.model.network import Tunnel
from sim.model.receive.received import Received
from sim.model.receive.receiver import Receiver
from sim.model.receive.terminate import Settings, Terminate
from tests.support.networks import OPTIONS
from tests.support.wire import words_sum

VNET = 7
KNOWN = frozenset({(0x0102, 0x80)})  # the critical one of OPTIONS
assert OPTIONS[:3] == bytes.fromhex("010280")


def far_end(tunnel: Tunnel, vnet: int = VNET, **more: Any) -> Terminate:
    """The termination entry of whoever a tunnel leads to."""
    fields: dict[str, Any] = {
        "key": tunnel.key,
        "udp_checksum": "optional" if tunnel.encapsulation in ("vxlan", "geneve") else None,
    }
    return Terminate(tunnel.encapsulation, tunnel.remote, vnet, **{**fields, **more})


def way_back(tunnel: Tunnel) -> Tunnel:
    return replace(tunnel, local=tunnel.remote, remote=tunnel.local)


def receiver(*entries: Terminate, **more: Any) -> Receiver:
    return Receiver(Settings(entries, **{"options": KNOWN, **more}))


def account(receiver: Receiver) -> None:
    """Every packet in came out, is held, or is counted under a reason."""
    counters = receiver.counters
    gone = sum(number for name, number in counters.items() if name.startswith(("slow.", "drop.")))
    assert counters["packets_in"] == counters["packets_delivered"] + gone + receiver.held, counters


def take(receiver: Receiver, packets: list[bytes], now: float = 0.0) -> list[Received]:
    """What comes of some packets; fails if the account does not add up after each."""
    found = []
    for packet in packets:
        received = receiver.receive(packet, now)
        account(receiver)
        if received is not None:
            found.append(received)
    return found


def complement(total: int) -> bytes:
    return pack("!H", 0xFFFF ^ total)


def ip4(protocol: int, body: bytes, **more: Any) -> bytes:
    """An Ethernet frame with an IPv4 header, its checksum right, from 192.0.2.1 to 192.0.2.2 unless told otherwise.

    `source`, `destination`: 4 bytes each; `tos`, `options`, `fragment` (flags and offset), `tags` (bytes before the
    type), `padding` (bytes behind).
    """
    source = more.get("source", bytes([192, 0, 2, 1]))
    destination = more.get("destination", bytes([192, 0, 2, 2]))
    options = more.get("options", b"")
    size = 20 + len(options)
    start = pack(
        "!BBHHHBB", 0x40 | size // 4, more.get("tos", 0), size + len(body), 1, more.get("fragment", 0), 64, protocol
    )
    check = complement(words_sum(start + source + destination + options))
    macs = bytes.fromhex("020000000002 020000000001")
    header = start + check + source + destination + options
    return macs + more.get("tags", b"") + b"\x08\x00" + header + body + more.get("padding", b"")


def stt_packet(
    identifier: int,
    total: int,
    offset: int,
    data: bytes,
    *,
    tos: int = 0,
    flags: int = 0x10,
    source: bytes = bytes([192, 0, 2, 1]),
    port: int = 50000,
    window: int = 0,
    words: int = 5,
) -> bytes:
    """One fragment over IPv4, its checksum right, whatever it claims; `words` is the data offset."""
    before = pack("!HHHHIBBH", port, 7471, total, offset, identifier, words << 4, flags, window)
    length = 20 + len(data)
    pseudo = source + bytes([192, 0, 2, 2]) + pack("!II", length, 6)
    check = complement(words_sum(pseudo + before + bytes(4) + data))
    return ip4(6, before + check + bytes(2) + data, tos=tos, source=source)


def flip(packet: bytes, at: int, bit: int = 0) -> bytes:
    """The packet with one bit changed."""
    changed = bytearray(packet)
    changed[at] ^= 1 << bit
    return bytes(changed)


def refresh_ip(packet: bytes, l3: int = 14) -> bytes:
    """The packet with its outer IPv4 header checksum made right again."""
    (first,) = unpack_from("!B", packet, l3)
    size = 4 * (first & 15)
    header = packet[l3 : l3 + 10] + bytes(2) + packet[l3 + 12 : l3 + size]
    return packet[: l3 + 10] + complement(words_sum(header)) + packet[l3 + 12 :]
