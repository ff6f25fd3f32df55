"""How single values are written in the configuration file, and what each becomes."""

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator

MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
KNOWN_OPTION = re.compile(r"([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,2})")
MOST_OPTION_BYTES = 32
OPTION_HEADER_BYTES = 4
GROUP_BIT = 0x01


def name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name; use letters, digits, '-', '_' and '.'")
    return value


def mac(value: Any) -> bytes:
    if not isinstance(value, str) or not MAC.fullmatch(value):
        raise ValueError(f'{value!r} is no MAC address; write it as "02:00:00:00:00:01"')
    return bytes.fromhex(re.sub("[:-]", "", value))


def unicast_mac(value: Any) -> bytes:
    address = mac(value)
    if address[0] & GROUP_BIT or not any(address):
        raise ValueError(f"{value!r} is no address of one card; the lowest bit of its first byte must be 0")
    return address


def forward_mac(value: Any) -> bytes | None:
    """None is any address that has no entry of its own."""
    if value == "*":
        return None
    try:
        return mac(value)
    except ValueError:
        raise ValueError(
            f'{value!r} is no MAC address; write one as "02:00:00:00:00:01", or "*" for any other'
        ) from None


def address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        if not isinstance(value, str):
            raise ValueError
        found = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f'{value!r} is no IPv4 or IPv6 address; write it as "192.0.2.1" or "2001:db8::1"') from None
    if found.is_unspecified or getattr(found, "scope_id", None):
        raise ValueError(f"{value!r} is no address that a packet can carry")
    return found


def options(value: Any) -> bytes:
    """Geneve options in hex (RFC 8926, 3.5): each is class 2 bytes, type 1, length in words 1, and that many words."""
    try:
        if not isinstance(value, str):
            raise ValueError
        data = bytes.fromhex(value)
    except ValueError:
        raise ValueError(f"{value!r} is not hex; write the TLVs as pairs of hex digits") from None
    if len(data) % 4 or len(data) > MOST_OPTION_BYTES:
        raise ValueError(f"has {len(data)} bytes; it must be a multiple of 4 and at most {MOST_OPTION_BYTES}")
    at = 0
    while at < len(data):
        size = OPTION_HEADER_BYTES + 4 * (data[at + 3] & 0x1F)
        if at + size > len(data):
            raise ValueError(f"the option at byte {at} says that it takes {size} bytes; there are {len(data) - at}")
        at += size
    return data


def known_option(value: Any) -> tuple[int, int]:
    """Class and type of a Geneve option (RFC 8926, 3.5), in hex."""
    found = KNOWN_OPTION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{value!r} is no Geneve option; write class and type in hex, as "0102:80"')
    return int(found[1], 16), int(found[2], 16)


def dscp(value: Any) -> int | None:
    """None copies the inner packet's (RFC 2983, uniform); a number is sent as it is (pipe)."""
    if value == "uniform":
        return None
    pipe = re.fullmatch(r"pipe:([0-9]{1,2})", value) if isinstance(value, str) else None
    if pipe is None or int(pipe[1]) > 63:
        raise ValueError(f'{value!r} is neither "uniform" nor "pipe:N" with N from 0 to 63')
    return int(pipe[1])


def target(value: Any) -> tuple[str, str]:
    """Where a forwarding entry leads: kind and name."""
    text = value if isinstance(value, str) else ""
    kind, _, rest = text.partition(":")
    if text in ("uplink", "drop"):
        return text, ""
    if kind in ("tunnel", "vport") and rest:
        return kind, rest
    raise ValueError(f'{value!r} is none of "tunnel:NAME", "vport:NAME", "uplink" and "drop"')


Name = Annotated[str, BeforeValidator(name)]
MacAddress = Annotated[bytes, PlainValidator(mac)]
UnicastMac = Annotated[bytes, PlainValidator(unicast_mac)]
ForwardMac = Annotated[bytes | None, PlainValidator(forward_mac)]
Address = Annotated[ipaddress.IPv4Address | ipaddress.IPv6Address, PlainValidator(address)]
Options = Annotated[bytes, PlainValidator(options)]
Dscp = Annotated[int | None, PlainValidator(dscp)]
KnownOption = Annotated[tuple[int, int], PlainValidator(known_option)]
Target = Annotated[tuple[Literal["tunnel", "vport", "uplink", "drop"], str], PlainValidator(target)]
