#!/usr/bin/env python3
"""Compare segments on the wire with the Linux kernel's, modulo what a sender may choose.

usage: compare.py OURS.pcap KERNEL.out.pcap        exit 0: equal; 1: a line for each difference
"""

import struct
import sys
from pathlib import Path
from typing import Any


def read_pcap(path: str | Path) -> list[bytes]:
    data = Path(path).read_bytes()
    magic = data[:4]
    if magic == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(data)
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at, frames = 24, list[bytes]()
    while at < len(data):
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return frames


def read_pcapng(data: bytes) -> list[bytes]:
    order = "<" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    at, frames = 0, list[bytes]()
    while at < len(data):
        kind, total = struct.unpack_from(order + "II", data, at)
        if kind == 6:
            length = struct.unpack_from(order + "I", data, at + 20)[0]
            frames.append(data[at + 28 : at + 28 + length])
        at += total
    return frames


def checksum(data: bytes, start: int = 0) -> int:
    data += b"\0" * (len(data) & 1)
    total: int = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def split(frame: bytes) -> tuple[dict[str, Any], dict[str, int], list[str], bytes]:
    """Outer fields that must match, fields a sender may choose, faults, and the inner bytes."""
    outer: dict[str, Any] = {}
    free: dict[str, int] = {}
    faults: list[str] = []
    kind = struct.unpack_from("!H", frame, 12)[0]
    at = 14
    if kind == 0x0800:
        size = (frame[at] & 15) * 4
        total, ident, fragment, ttl, proto = struct.unpack_from("!HHHBB", frame, at + 2)
        if checksum(frame[at : at + size]) != 0xFFFF:
            faults.append("outer IPv4 header checksum is wrong")
        outer.update(
            version=4,
            tos=frame[at + 1],
            length=total,
            df=fragment >> 14 & 1,
            fragment=fragment & 0x3FFF,
            ttl=ttl,
            proto=proto,
            src=frame[at + 12 : at + 16].hex(),
            dst=frame[at + 16 : at + 20].hex(),
        )
        free["id"] = ident
        pseudo = frame[at + 12 : at + 20]
        end, at = at + total, at + size
    elif kind == 0x86DD:
        first, length, proto, hops = struct.unpack_from("!IHBB", frame, at)
        outer.update(
            version=6,
            tos=first >> 20 & 0xFF,
            length=length,
            ttl=hops,
            proto=proto,
            src=frame[at + 8 : at + 24].hex(),
            dst=frame[at + 24 : at + 40].hex(),
        )
        free["label"] = first & 0xFFFFF
        pseudo = frame[at + 8 : at + 40]
        end, at = at + 40 + length, at + 40
    else:
        return {"ethertype": kind}, free, faults, frame[14:]
    if end > len(frame):
        faults.append(f"the outer length {end} runs past the frame's {len(frame)}")
    body = frame[at:end]
    if outer["proto"] == 17:
        sport, dport, length, check = struct.unpack_from("!HHHH", body)
        outer.update(dport=dport, udp_length=length, udp_zero=check == 0)
        free["sport"] = sport
        if check and checksum(pseudo + struct.pack("!HH", 17, length) + body[:length]) != 0xFFFF:
            faults.append("outer UDP checksum is wrong")
        size = 8 + (body[8] & 63) * 4 if dport == 6081 else 8
        outer["tunnel"] = body[8 : 8 + size].hex()
        inner = body[8 + size :]
    elif outer["proto"] == 47:
        flags, proto = struct.unpack_from("!HH", body)
        outer.update(gre_flags=flags, gre_proto=proto)
        size = 4
        if flags & 0x8000:
            if checksum(body) != 0xFFFF:
                faults.append("GRE checksum is wrong")
            size += 4
        if flags & 0x2000:
            outer["key"] = body[size : size + 4].hex()
            size += 4
        if flags & 0x1000:
            free["sequence"] = struct.unpack_from("!I", body, size)[0]
            size += 4
        inner = body[size:]
    else:
        inner = body
    return outer, free, faults, inner


def inner_ecn(inner: bytes) -> int:
    at = 18 if inner[12:14] == b"\x81\x00" else 14
    kind = inner[at - 2 : at]
    tos = (
        inner[at + 1]
        if kind == b"\x08\x00"
        else (inner[at] << 4 | inner[at + 1] >> 4) & 0xFF
        if kind == b"\x86\xdd"
        else 0
    )
    return tos & 3


def compare(ours: list[bytes], kernel: list[bytes]) -> list[str]:
    said: list[str] = []
    if len(ours) != len(kernel):
        said.append(f"{len(ours)} segments, the kernel sent {len(kernel)}")
    first: list[dict[str, int]] = []
    seen_ids: set[int] = set()
    for number, (a, b) in enumerate(zip(ours, kernel, strict=False)):
        (oa, fa, faults, ia), (ob, fb, _, ib) = split(a), split(b)
        said += [f"segment {number}: {fault}" for fault in faults]
        if (
            "tos" in oa and "tos" in ob and oa["tos"] & 3 == inner_ecn(ib)
        ):  # RFC 6040's normal mode, where the kernel is older
            ob["tos"] = ob["tos"] & ~3 | oa["tos"] & 3
        for key in sorted(set(oa) | set(ob)):
            if oa.get(key) != ob.get(key):
                said.append(f"segment {number}: outer {key} is {oa.get(key)}, the kernel has {ob.get(key)}")
        first = first if number else [fa, fb]
        if "sport" in fa and fa["sport"] != first[0]["sport"] and fb["sport"] == first[1]["sport"]:
            said.append(f"segment {number}: the UDP source port changed within the super-segment")
        if "sequence" in fb and (fa.get("sequence", -1) - first[0].get("sequence", 0)) % 2**32 != number:
            said.append(f"segment {number}: GRE sequence is {fa.get('sequence')} after {first[0].get('sequence')}")
        if oa.get("version") == 4 and not oa["df"]:
            if fa["id"] in seen_ids:
                said.append(f"segment {number}: outer IPv4 ID {fa['id']} repeats with DF clear")
            seen_ids.add(fa["id"])
        if ia != ib:
            at = next((i for i, (x, y) in enumerate(zip(ia, ib, strict=False)) if x != y), min(len(ia), len(ib)))
            said.append(
                f"segment {number}: inner bytes differ from byte {at} ({len(ia)} and {len(ib)} bytes): "
                f"{ia[at : at + 8].hex()}, the kernel has {ib[at : at + 8].hex()}"
            )
    return said


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    differences = compare(read_pcap(sys.argv[1]), read_pcap(sys.argv[2]))
    print("\n".join(differences) or "equal")
    sys.exit(bool(differences))
