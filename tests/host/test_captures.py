"""Capture files: round trips, files that other programs write, and one clear line for every file that is no good."""

import subprocess
from pathlib import Path
from struct import pack

import pytest
from scapy.utils import PcapNgWriter, RawPcapNgReader, rdpcap, wrpcap

from host import captures, pcapng
from host.captures import decode, read
from host.errors import UserError
from host.packets import CapturedPacket, CaptureError
from tests.support import tshark

SERVER = Path(__file__).parents[1] / "captures" / "web-server-tx.pcap"
PACKETS = [
    CapturedPacket(bytes(range(60)), 1_700_000_000_123_456_789),
    CapturedPacket(bytes(61), 1_700_000_000_123_456_790, ("gso_size=1410 gso_type=tcpv4", "Grüße")),
    CapturedPacket(b"", 0),
    CapturedPacket(bytes(65535 + 62), (1 << 32) * 10**9 - 1),
]


@pytest.mark.parametrize("ending", (".pcap", ".pcapng"))
def test_round_trip(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    captures.write(path, PACKETS)
    found = read(path)
    assert [(packet.data, packet.time_ns) for packet in found] == [(packet.data, packet.time_ns) for packet in PACKETS]
    assert [packet.comments for packet in found] == [
        packet.comments if ending == ".pcapng" else () for packet in PACKETS
    ]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "tick"), ((0xA1B2C3D4, 1000), (0xA1B23C4D, 1)))
def test_pcap_of_either_byte_order_and_unit(order: str, magic: int, tick: int) -> None:
    data = pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1) + pack(order + "IIII", 7, 999, 3, 3) + b"abc"
    assert decode(data) == [CapturedPacket(b"abc", 7 * 10**9 + 999 * tick)]


def test_a_frame_check_sequence_is_no_data() -> None:
    header = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 0x24000001)
    whole = pack("<IIII", 7, 0, 7, 7) + b"abcFCS!"
    cut = pack("<IIII", 7, 0, 4, 7) + b"abcF"
    found = [CapturedPacket(b"abc", 7 * 10**9)] * 2
    assert decode(header + whole + cut) == found
    for said in (4, 32):
        options = pack("<HHB3x", 13, 1, said) + bytes(4)
        packets = (enhanced("<", b"abcFCS!", 7 * 10**6), enhanced("<", b"abcF", 7 * 10**6, length=7))
        assert decode(pcapng_file("<", options, *packets)) == found


def pcapng_file(order: str, options: bytes = b"", *blocks: tuple[int, bytes], link: int = 1, snap: int = 0) -> bytes:
    section = pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
    all_blocks = ((0x0A0D0D0A, section), (1, pack(order + "HxxI", link, snap) + options), *blocks)
    return b"".join(
        pack(order + "II", kind, len(body) + 12) + body + pack(order + "I", len(body) + 12) for kind, body in all_blocks
    )


def enhanced(order: str, data: bytes, time: int, options: bytes = b"", length: int | None = None) -> tuple[int, bytes]:
    sizes = (len(data), len(data) if length is None else length)
    return 6, pack(order + "5I", 0, time >> 32, time & 0xFFFFFFFF, *sizes) + pcapng.padded(data) + options


@pytest.mark.parametrize("order", "<>")
def test_pcapng_of_either_byte_order(order: str) -> None:
    comment = pack(order + "HH", 1, 5) + b"hello\0\0\0" + pack(order + "HH", 1, 2) + b"du\0\0" + bytes(4)
    data = pcapng_file(order, b"", enhanced(order, b"abcde", 1_000_001, comment), (0x0BAD, bytes(8)), (5, bytes(12)))
    assert decode(data) == [CapturedPacket(b"abcde", 1_000_001_000, ("hello", "du"))]


@pytest.mark.parametrize(
    ("resolution", "ticks"), ((6, 10**6), (9, 10**9), (3, 1000), (0x80 | 10, 1024), (0x80 | 32, 1 << 32))
)
def test_pcapng_unit_of_time(resolution: int, ticks: int) -> None:
    options = pack("<HHB3x", 9, 1, resolution) + pack("<HHq", 14, 8, 100) + bytes(4)
    (packet,) = decode(pcapng_file("<", options, enhanced("<", b"x", 5 * ticks + 3)))
    assert packet.time_ns == 105 * 10**9 + 3 * 10**9 // ticks


def test_pcapng_other_kinds_of_packet_block() -> None:
    simple, old = pack("<I", 5) + b"abcde\0\0\0", pack("<HHIIII", 0, 9, 0, 7, 2, 2) + b"xy\0\0"
    assert decode(pcapng_file("<", b"", (3, simple), (2, old))) == [
        CapturedPacket(b"abcde", 0),
        CapturedPacket(b"xy", 7000),
    ]


def test_sections_of_both_byte_orders_in_one_file() -> None:
    data = pcapng_file("<", b"", enhanced("<", b"a", 1)) + pcapng_file(">", b"", enhanced(">", b"b", 2))
    assert [packet.data for packet in decode(data)] == [b"a", b"b"]


def test_real_capture() -> None:
    assert [packet.data for packet in read(SERVER)] == [bytes(packet) for packet in rdpcap(str(SERVER))]


def test_scapy_reads_what_is_written(tmp_path: Path) -> None:
    captures.write(tmp_path / "x.pcapng", PACKETS[:2])
    found = list(RawPcapNgReader(str(tmp_path / "x.pcapng")))
    assert [data for data, _ in found] == [packet.data for packet in PACKETS[:2]]
    assert found[1][1].comments == [b"gso_size=1410 gso_type=tcpv4", "Grüße".encode()]
    assert [(facts.tsresol, facts.tshigh << 32 | facts.tslow) for _, facts in found] == [
        (10**9, packet.time_ns) for packet in PACKETS[:2]
    ]


def test_what_scapy_writes_is_read(tmp_path: Path) -> None:
    frames = rdpcap(str(SERVER), 5)
    for ns in (False, True):
        wrpcap(str(tmp_path / "x.pcap"), frames, nano=ns)
        assert [packet.data for packet in read(tmp_path / "x.pcap")] == [bytes(frame) for frame in frames]
    frames[0].comment = b"gso_size=9"
    with PcapNgWriter(str(tmp_path / "x.pcapng")) as writer:
        writer.write(frames)
    found = read(tmp_path / "x.pcapng")
    assert [packet.data for packet in found] == [bytes(frame) for frame in frames]
    assert found[0].comments == ("gso_size=9",)


def test_wireshark_reads_what_is_written(tmp_path: Path) -> None:
    captures.write(tmp_path / "x.pcapng", PACKETS[:2])
    command: list[str | Path] = [
        tshark.find(),
        "-r",
        tmp_path / "x.pcapng",
        "-T",
        "fields",
        "-e",
        "frame.comment",
        "-e",
        "frame.time_epoch",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        "\t1700000000.123456789",
        "gso_size=1410 gso_type=tcpv4,Grüße\t1700000000.123456790",
    ]


def test_every_cut_of_a_file_is_noticed() -> None:
    """Wherever the last packet's bytes end early it is said; cut between packets a pcap is simply shorter."""
    for encode in captures.ENDINGS.values():
        pieces = list(encode(PACKETS[:2]))
        data = b"".join(pieces)
        behind_first = len(data) - len(b"".join(encode(PACKETS[1:2]))) + len(b"".join(encode([])))
        for size in range(4, len(data)):
            if size == behind_first:
                assert len(decode(data[:size])) == 1
            else:
                with pytest.raises(CaptureError, match=r"truncated capture: it ends|empty capture"):
                    decode(data[:size])


BAD = {
    "empty file": (b"", "not a capture: neither pcap nor pcapng"),
    "text": (b"hello world, this is no capture", "not a capture: neither pcap nor pcapng"),
    "gzip": (bytes.fromhex("1f8b0800") + bytes(60), "not a capture: neither pcap nor pcapng"),
    "pcap, no packets": (
        pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1),
        "empty capture: there are no packets in it",
    ),
    "pcapng, no packets": (pcapng_file("<"), "empty capture: there are no packets in it"),
    "pcap, half a header": (pack("<IHHi", 0xA1B2C3D4, 2, 4, 0), "truncated capture: it ends inside the file header"),
    "pcap, half a packet": (
        pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + pack("<IIII", 0, 0, 60, 60) + bytes(59),
        "truncated capture: it ends inside packet 1",
    ),
    "pcapng, half a packet": (
        pcapng_file("<", b"", enhanced("<", bytes(60), 0))[:-1],
        "truncated capture: it ends inside packet 1 or the block before it",
    ),
    "pcap, not Ethernet": (
        pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 113) + pack("<IIII", 0, 0, 1, 1) + b"x",
        "link type 113 is not Ethernet (1)",
    ),
    "pcapng, not Ethernet": (
        pcapng_file("<", b"", enhanced("<", b"x", 0), link=101),
        "link type 101 is not Ethernet (1)",
    ),
    "pcap, packets cut": (
        pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 3, 1) + pack("<IIII", 0, 0, 3, 60) + b"abc",
        "packet 1 was cut to 3 of its 60 bytes when it was captured; capture whole packets (tcpdump -s 0)",
    ),
    "pcapng, packets cut": (
        pcapng_file("<", b"", enhanced("<", b"x", 0), enhanced("<", b"abc", 0, length=9)),
        "packet 2 was cut to 3 of its 9 bytes when it was captured; capture whole packets (tcpdump -s 0)",
    ),
    "pcapng, simple packet cut": (
        pcapng_file("<", b"", (3, pack("<I", 9) + b"abcd"), snap=4),
        "packet 1 was cut to 4 of its 9 bytes when it was captured; capture whole packets (tcpdump -s 0)",
    ),
    "pcapng, lengths differ": (
        pcapng_file("<", b"", enhanced("<", b"x", 0))[:-4] + pack("<I", 16),
        "broken capture: the two lengths of the block at byte 48 differ",
    ),
    "pcapng, no length": (
        pcapng_file("<") + pack("<III", 6, 0, 0),
        "broken capture: the block at byte 48 says that it takes 0 bytes",
    ),
    "pcapng, unknown interface": (
        pcapng_file("<", b"", (6, pack("<5I", 7, 0, 0, 0, 0))),
        "broken capture: packet 1 does not fit its block",
    ),
    "pcapng, packet larger than its block": (
        pcapng_file("<", b"", (6, pack("<5I", 0, 0, 0, 99, 99))),
        "broken capture: packet 1 does not fit its block",
    ),
    "pcapng, tiny block": (pcapng_file("<", b"", (6, b"")), "broken capture: packet 1 does not fit its block"),
    "pcapng, byte order": (
        pcapng.MAGIC + bytes(20),
        "broken capture: a section has no byte-order magic",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    path = tmp_path / "in.pcap"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.pcap: no such file"):
        read(tmp_path / "x.pcap")
    with pytest.raises(UserError, match="Is a directory"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"out\.txt: the name must end in \.pcap or \.pcapng"):
        captures.check_writable(tmp_path / "out.txt")
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        captures.check_writable(tmp_path / "nowhere" / "out.pcap")
    (tmp_path / "folder.pcap").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        captures.check_writable(tmp_path / "folder.pcap")
    with pytest.raises(UserError, match=r"No such file or directory"):
        captures.write(tmp_path / "nowhere" / "out.pcap", PACKETS)
