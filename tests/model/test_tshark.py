"""The model's packets in Wireshark's eyes: no bad checksum, nothing malformed, STT frames put together again."""

import pytest

from sim.model.card import Card
from tests.support import tshark
from tests.support.frames import (
    C_TAG,
    TIMESTAMPS,
    address_resolution,
    datagram,
    fragment,
    padded,
    samples,
    small,
    super_segment,
    tcp_frame,
)
from tests.support.networks import NETWORKS

# With payload that no dissector behind a random port calls malformed.
KINDS = (small, super_segment, datagram, address_resolution, fragment, padded)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_complaint(name: str):
    card, packets = Card(NETWORKS[name]), []
    for sample in samples(seed=7, count=120, kinds=KINDS, largest=5000):
        packets += card.transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
    assert card.counters["frames_sent"] > 60
    found = tshark.problems(packets, stt=name.startswith("stt"))
    assert found == [], f"pytest '{__file__}::test_no_complaint[{name}]'"


@pytest.mark.parametrize("at", [24, 40, 66, 88, 104, 1000])
@pytest.mark.parametrize("name", ["vxlan-v4-csum", "gre-v4-csum"])
def test_a_wrong_byte_is_seen(name: str, at: int):
    """What `problems` is worth: a byte of any layer changed, and tshark complains."""
    packets = Card(NETWORKS[name]).transmit(tcp_frame(4, bytes(1300)))
    (packet,) = packets
    broken = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
    assert tshark.problems([packet]) == [] and len(tshark.problems([broken])) == 1


@pytest.mark.parametrize("mode", ["frame", "segment"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_stt_reassembles_to_what_was_sent(mode: str, version: int, inner: int):
    card, packets, payloads = Card(NETWORKS[f"stt-v{version}-{mode}"]), [], []
    # No frame here ends in a packet of 20 bytes or less: Wireshark 4.0 takes the one before for the last.
    for number, size in enumerate((1, 1300, 1301, 1420, 5000, 30001, 65535 - 18 - 54 - 32)):
        payload = bytes((number + k * 7 + (k >> 8)) & 0xFF for k in range(size))
        frame = tcp_frame(inner, payload, tags=[(C_TAG, number)], options=TIMESTAMPS, ports=(50000, 50000 + number))
        packets += card.transmit(frame, gso_size=1300)
        payloads.append(payload)
    assert tshark.problems(packets, stt=True) == []
    seen = [b""] * len(payloads)
    for port, data in tshark.fields(packets, "tcp.dstport", "tcp.payload", where="tcp.payload", stt=True):
        seen[int(port) - 50000] += bytes.fromhex(data)
    assert seen == payloads


def test_stt_header_fields():
    packets = Card(NETWORKS["stt-v4-frame"]).transmit(tcp_frame(4, bytes(3000), tags=[(C_TAG, 0xE064)]), gso_size=1300)
    names = ("version", "flags", "l4offset", "mss", "vlan.pcp", "vlan.v", "vlan.id", "context_id", "reassembled.length")
    (first, *_, last) = tshark.fields(
        packets, *(f"stt.{name}" for name in names[:-1]), "stt.reassembled.length", stt=True
    )
    assert first[0] == "" and last[-1] == str(20 + 18 + 54 + 3000)  # it counts the first packet's TCP-like header
    assert [int(value, 0) for value in last[:-1]] == [0, 0x0E, 34, 1300, 7, 1, 100, 0x0123456789ABCDEF]
