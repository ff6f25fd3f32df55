"""The flow hash: one number for all packets of an inner flow, so that the underlay keeps them on one path."""

from binascii import crc_hqx
from struct import pack

from sim.model.checksum import ones_sum
from sim.model.parse import Headers


def flow_hash(headers: Headers) -> int:
    """CRC-16/CCITT-FALSE over what tells flows apart.

    ::

        sum of source │ sum of destination │ source port │ destination port │ protocol      2 + 2 + 2 + 2 + 1 bytes

    The sums are one's complement sums of the IP addresses. Fragments and other protocols have no ports and protocol 0,
    so all fragments of a packet go one way. Without an IP header that holds, the first sum is the Ethernet header's.
    """
    source = destination = ports = protocol = 0
    if headers.ip_version and not headers.unparsed:
        source, destination = map(ones_sum, headers.addresses)
        if headers.tcp or headers.udp:
            ports = int.from_bytes(headers.frame[headers.l4 : headers.l4 + 4], "big")
            protocol = headers.protocol
    else:
        source = ones_sum(headers.frame[: headers.l3])
    return crc_hqx(pack("!HHIB", source, destination, ports, protocol), 0xFFFF)


def source_port(headers: Headers) -> int:
    """The outer source port of UDP and STT: 49152 to 65535 (RFC 7348)."""
    return 0xC000 | flow_hash(headers) & 0x3FFF
