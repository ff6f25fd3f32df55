"""`tunnelnic receive`: what it writes, what it says, and with which exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sim.card
from hdl.config import PRESETS
from hdl.registers.receive import RxCounter, RxReason
from host import captures, demo, offload, pcapng, receive_simulation
from host.config import Config
from host.config import parse as parse_config
from host.packets import CapturedPacket
from host.receive import on_the_wire, times_of
from host.receive_simulation import arrivals
from sim.model.card import Card
from sim.model.parse import parse
from sim.model.segment import finish, segment
from tests.host import model_receiver
from tests.host.conftest import Ran
from tests.host.fake_card import FakeCard
from tests.host.model_receiver import FakeReceiver, spoilt
from tests.support.frames import ACK, C_TAG, PSH, arp, tcp_frame

Run = Callable[..., Ran]
CONFIG = """\
[uplink]
mac = "02:00:00:00:00:01"
vnet = "underlay"
slow_path = "host"
[[vnet]]
name = "blue"
[[vnet]]
name = "underlay"
[[vport]]
name = "vm1"
vnet = "blue"
mac = "52:54:00:00:bb:01"
queues = 4
[[vport]]
name = "vm2"
vnet = "blue"
mac = "52:54:00:00:bb:02"
receive_mtu = 1500
[[vport]]
name = "host"
vnet = "underlay"
mac = "52:54:00:00:bb:01"
[[tunnel]]
name = "to-b"
encapsulation = "gre"
local = "192.0.2.2"
remote = "192.0.2.1"
next_hop = "02:00:00:00:00:02"
key = 5
[[tunnel]]
name = "to-c"
encapsulation = "stt"
local = "192.0.2.2"
remote = "192.0.2.1"
next_hop = "02:00:00:00:00:02"
key = 6
[[terminate]]
encapsulation = "gre"
local = "192.0.2.1"
key = 5
vnet = "blue"
[[terminate]]
encapsulation = "stt"
local = "192.0.2.1"
key = 6
vnet = "blue"
[[forward]]
vnet = "blue"
mac = "*"
to = "tunnel:to-b"
[[forward]]
vnet = "underlay"
mac = "*"
to = "uplink"
"""
VM2 = bytes.fromhex("52540000bb02")
TUNNELS = [("gre", 8, 3), ("stt", 5, 1)]  # what `wire` sends through each: packets, frames
KEYS = {
    *("preset", "width_bits", "clock_hz", "cycles", "packets_in", "bytes_in", "packets_delivered", "packets_slow"),
    *("frames_delivered", "drops", "counters", "coalescing", "completion_delay_cycles", "open_contexts_peak", "held"),
    *("checked", "mismatches", "overruns", "simulation_seconds", "simulation_cycles_per_second", "check_seconds"),
}


def one_line(ran: Ran, message: str, code: int = 2) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("tunnelnic: ") and ran.err.count("\n") == 1, ran.err
    assert message in ran.err, ran.err


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeReceiver]:
    """Every card that is opened is a fake one; a class of its own, so that a test may spoil it."""
    card = type("SpoiltReceiver", (FakeReceiver,), {})
    monkeypatch.setattr(sim.card, "VirtualReceiver", card, raising=False)
    monkeypatch.setattr(receive_simulation, "program", model_receiver.program)
    return card


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.toml"
    path.write_text(CONFIG)
    return path


BIG = tcp_frame(4, bytes(range(250)) * 20, flags=ACK | PSH)  # 5000 bytes for vm1
BIG_2 = VM2 + tcp_frame(4, bytes(4000), flags=ACK | PSH)[6:]
TAGGED = tcp_frame(6, bytes(6000), tags=[(C_TAG, 0x2005)])


def wire(**changes: str) -> list[bytes]:
    """What another card sends: super-segments over GRE and STT, a frame to a group, a packet with a key of nobody."""
    network = parse_config(CONFIG).model_network()
    card = Card(network)
    sent = [packet for frame in (BIG, BIG_2, arp()) for packet in card.transmit(frame, gso_size=1400)]
    stt = Card(parse_config(CONFIG.replace('to = "tunnel:to-b"', 'to = "tunnel:to-c"')).model_network())
    sent += stt.transmit(TAGGED, gso_size=1400)
    stranger = Card(parse_config(CONFIG.replace("key = 5", "key = 7")).model_network())
    sent += stranger.transmit(tcp_frame(4, b"x"))
    sent += card.transmit(tcp_frame(4, b"hello"), vport=2)
    return sent


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "wire.pcap"
    captures.write(path, [CapturedPacket(packet, 10**18 + 1000 * number) for number, packet in enumerate(wire())])
    return path


class TestReceive:
    @pytest.mark.parametrize("ending", [".pcap", ".pcapng"])
    def test_what_it_writes(
        self, ending: str, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        out, report_file = tmp_path / f"out{ending}", tmp_path / "report.json"
        ran = run("receive", capture, out, "--config", config_file, "--report", report_file)
        assert ran.code == 0, ran.out + ran.err
        report, found = json.loads(report_file.read_text()), captures.read(out)
        assert set(report) >= KEYS
        # GRE: 4 + 3 packets, coalesced; ARP for vm1 and vm2; STT: 5 packets; one for the slow path, one for the host
        assert (report["packets_in"], report["packets_delivered"], report["packets_slow"]) == (15, 14, 1)
        assert (report["frames_delivered"], report["frames_out"]) == (5, 9)
        assert (report["super_segments"], report["coalescing"]) == (3, pytest.approx(12 / 3))
        assert (report["drops"], report["held"], report["overruns"], report["accounted"]) == ({}, 0, 0, True)
        assert (report["checked"], report["mismatches"], report["reordered"]) == (7, 0, 0)
        assert report["completion_delay_cycles"] == {"median": 40, "maximum": 40}
        assert report["open_contexts_peak"] == 1
        assert [(one["encapsulation"], one["packets"], one["frames"]) for one in report["tunnels"]] == TUNNELS
        assert report["tunnels"][0]["bytes"] == sum(len(finish(parse(frame))) for frame in (BIG, BIG_2, arp()))
        assert "tunnels" in ran.out and "packets in 3 frames" in ran.out
        wanted = [
            finish(parse(BIG)),
            *segment(parse(BIG_2), 1400),
            arp(),
            arp(),
            finish(parse(TAGGED)),
            wire()[-2],
            finish(parse(tcp_frame(4, b"hello"))).ljust(60, b"\0"),
        ]
        assert [finish(parse(packet.data)) for packet in found] == wanted
        times = [packet.time_ns for packet in found]
        assert times == sorted(times) and times[0] > 5000 * 0.8
        assert "12 packets in" not in ran.out and "all 7 frames as the model has them" in ran.out

    def test_pcapng_says_who_and_how(
        self, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.pcapng"
        assert run("receive", capture, out, "--config", config_file).code == 0
        names, numbers = interfaces(out.read_bytes())
        assert names == ["vm1", "vm2", "host"] and numbers == [0, 1, 1, 1, 0, 1, 0, 2, 2]
        said = [packet.comments for packet in captures.read(out)]
        queue = said[0][0].rpartition("=")[2]
        assert said[0] == (f"gso_size=1400 gso_type=tcpv4 checksum=partial queue={queue}",) and queue in "0123"
        assert said[1:4] == [("gso_size=0 gso_type=none checksum=good queue=0",)] * 3
        assert said[4:6] == [("gso_size=0 gso_type=none checksum=none queue=0",)] * 2
        assert said[6][0].startswith("gso_size=1400 gso_type=tcpv6 checksum=partial queue=")
        assert said[7] == ("gso_size=0 gso_type=none checksum=none queue=0 slow_path=yes",)
        assert said[8] == ("gso_size=0 gso_type=none checksum=good queue=0",)
        assert [offload.from_comments(comments).gso_size for comments in said] == [1400, 0, 0, 0, 0, 0, 1400, 0, 0]

    def test_segment_takes_it_back(
        self, run: Run, fake: type[FakeReceiver], fake_card: type[FakeCard], tmp_path: Path, config_file: Path
    ) -> None:
        """A web server's traffic, sent, received, and sent again: the same packets."""
        mac = next(packet.data[:6].hex(":") for packet in captures.read(demo.CAPTURE) if parse(packet.data).tcp)
        config = CONFIG.replace('"52:54:00:00:bb:01"\nqueues', f'"{mac}"\nqueues')
        config = config.replace('name = "blue"\n', 'name = "blue"\nunknown_unicast = "flood"\n', 1)
        vm2 = config[config.index('[[vport]]\nname = "vm2"') : config.index('[[vport]]\nname = "host"')]
        config_file.write_text(config.replace(vm2, ""))
        sent, got, again = (tmp_path / name for name in ("sent.pcap", "got.pcapng", "again.pcap"))
        words = ("--config", config_file)
        assert run("segment", demo.CAPTURE, sent, "--gso-size", 1300, *words).code == 0
        ran = run("receive", sent, got, *words, "--json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["coalescing"] > 10
        assert run("segment", got, again, *words).code == 0
        assert sorted(inner(again)) == sorted(inner(sent))

    def test_short_packets_are_padded(
        self, run: Run, fake: type[FakeReceiver], config_file: Path, tmp_path: Path
    ) -> None:
        source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
        captures.write(source, [CapturedPacket(arp()[:42]), CapturedPacket(b"tiny"), CapturedPacket(b"")])
        ran = run("receive", source, out, "--config", config_file)
        assert ran.code == 0, ran.err
        assert [len(packet) for packet in fake.received] == [60] * 3
        assert "3 packets, 180 bytes, 3 of them padded to 60" in ran.out

    def test_drops_are_named(self, run: Run, fake: type[FakeReceiver], config_file: Path, tmp_path: Path) -> None:
        source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
        sent = wire()
        broken = sent[0][:24] + b"??" + sent[0][26:]
        captures.write(source, [CapturedPacket(packet) for packet in (broken, bytes(9239), sent[9], *sent[:4])])
        ran = run("receive", source, out, "--config", config_file, "--json")
        report = json.loads(ran.out)
        assert ran.code == 0 and report["drops"] == {"oversize": 1, "ip_checksum": 1}
        assert report["held"] == 1 and report["counters"]["drop.ip_checksum"] == 1
        ran = run("receive", source, out, "--config", config_file)
        assert "oversize 1, ip_checksum 1" in ran.out and "1 packets of STT frames that are not whole" in ran.out

    def test_nothing_is_handed_up(self, run: Run, fake: type[FakeReceiver], config_file: Path, tmp_path: Path) -> None:
        source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
        captures.write(source, [CapturedPacket(bytes(10_000))])
        report = json.loads(run("receive", source, out, "--config", config_file, "--json").out)
        assert (report["coalescing"], report["completion_delay_cycles"], report["checked"]) == (None, None, 0)
        assert len(out.read_bytes()) == 24
        assert "no frames, as the model has it" in run("receive", source, out, "--config", config_file).out

    def test_times(self, run: Run, fake: type[FakeReceiver], config_file: Path, tmp_path: Path) -> None:
        """Back to back, or as the capture says: then a flow that pauses is handed up in two frames."""
        source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
        sent = Card(parse_config(CONFIG).model_network()).transmit(tcp_frame(4, bytes(4200)), gso_size=1400)
        times = (5_000_000, 5_001_000, 5_300_000)
        captures.write(source, [CapturedPacket(p, time) for p, time in zip(sent, times, strict=True)])
        words = ("receive", source, out, "--config", config_file, "--json")
        reports = [json.loads(run(*words, *more).out) for more in ((), ("--keep-times",))]
        assert [report["frames_delivered"] for report in reports] == [1, 2]
        assert [report["mismatches"] for report in reports] == [0, 0]
        assert reports[0]["wire_seconds"] < 4e-6 and reports[1]["wire_seconds"] > 300e-6
        assert fake.waits == (122, 17881), "200 us and 30 s in the card's ticks"

    @pytest.mark.parametrize("preset", ["25g", "100g"])
    def test_other_cards(
        self, preset: str, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        words = ("receive", capture, tmp_path / "out.pcap", "--config", config_file, "--preset", preset, "--json")
        report = json.loads(run(*words).out)
        assert (report["preset"], report["mismatches"]) == (preset, 0)
        assert fake.waits[0] == round({"25g": 200e-6 * 195_312_500, "100g": 20e-6 * 250e6}[preset] / 256)


class TestWrong:
    def go(self, run: Run, capture: Path, config_file: Path, tmp_path: Path, *more: str) -> tuple[Ran, dict[str, Any]]:
        ran = run("receive", capture, tmp_path / "out.pcap", "--config", config_file, "--json", *more)
        return ran, json.loads(ran.out)

    def test_a_wrong_frame(
        self, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake.spoil = spoilt(0, data=finish(parse(BIG))[:-1] + b"?")
        ran, report = self.go(run, capture, config_file, tmp_path)
        assert (ran.code, report["checked"], report["mismatches"]) == (1, 7, 1)
        assert report["first_mismatch"].startswith("vport vm1: frame 1 differs from byte 50 on: ")
        ran = run("receive", capture, tmp_path / "out.pcap", "--config", config_file)
        assert ran.code == 1 and "1 of 7 frames differ; vport vm1: frame 1" in " ".join(ran.out.split())
        ran, report = self.go(run, capture, config_file, tmp_path, "--no-check")
        assert (ran.code, report["checked"], report["check_seconds"]) == (0, 0, None)
        words = ("receive", capture, tmp_path / "out.pcap", "--config", config_file, "--no-check")
        assert "not checked" in run(*words).out

    def test_a_wrong_fact(
        self, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake.spoil = spoilt(1, gso_size=1399)
        ran, report = self.go(run, capture, config_file, tmp_path)
        assert ran.code == 1 and report["first_mismatch"] == "vport vm2: frame 1 has gso_size 1399, expected 1400"

    @pytest.mark.parametrize("number", [1, 63])
    def test_a_wrong_tunnel(
        self, number: int, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake.spoil = spoilt(0, entry=number)
        ran, report = self.go(run, capture, config_file, tmp_path)
        assert ran.code == 1 and report["first_mismatch"] == f"vport vm1: frame 1 has entry {number}, expected 0"

    @pytest.mark.parametrize("check", ["--check", "--no-check"])
    def test_a_lost_frame(
        self, check: str, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake.spoil = staticmethod(lambda deliveries: deliveries[1:])
        ran, report = self.go(run, capture, config_file, tmp_path, check)
        assert ran.code == 1 and report["accounted"] is False

    @pytest.mark.parametrize("counter", [RxCounter.PACKETS_IN, RxCounter.PACKETS_SLOW, RxCounter.FRAMES_DELIVERED])
    def test_a_counter(
        self, counter: int, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake.lose = counter
        ran = run("receive", capture, tmp_path / "out.pcap", "--config", config_file)
        assert ran.code == 1 and "NOT every packet" in ran.out

    def test_a_drop_under_another_name(
        self, run: Run, fake: type[FakeReceiver], config_file: Path, tmp_path: Path
    ) -> None:
        source = tmp_path / "in.pcap"
        captures.write(source, [CapturedPacket(bytes(10_000))])
        fake.lose = RxReason.OVERSIZE
        ran, report = self.go(run, source, config_file, tmp_path)
        assert ran.code == 1 and report["first_mismatch"] == "counter drop.oversize is 0, expected 1"

    def test_a_card_that_is_too_slow(
        self, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake.overruns = 1
        ran, report = self.go(run, capture, config_file, tmp_path, "--no-check")
        assert (ran.code, report["overruns"], report["accounted"]) == (1, 1, True)


class TestBadInput:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("receive",), "Missing argument 'IN'"),
            (("receive", "a.pcap"), "Missing argument 'OUT'"),
            (("receive", "a.pcap", "b.pcap"), "Missing option '--config'"),
            (("receive", "a.pcap", "b.pcap", "--config", "c", "--vport", "vm1"), "--vport"),
        ],
    )
    def test_usage(self, words: tuple[str, ...], message: str, run: Run) -> None:
        one_line(run(*words), message)

    def test_files(self, run: Run, fake: type[FakeReceiver], capture: Path, config_file: Path, tmp_path: Path) -> None:
        out, none = tmp_path / "out.pcap", tmp_path / "none"
        one_line(run("receive", none, out, "--config", config_file), f"{none}: no such file")
        one_line(run("receive", capture, out, "--config", none), f"{none}: no such file")
        one_line(run("receive", config_file, out, "--config", config_file), "not a capture: neither pcap nor pcapng")
        one_line(run("receive", capture, tmp_path / "out.txt", "--config", config_file), "must end in .pcap or .pcapng")
        one_line(run("receive", capture, capture, "--config", config_file), "would be written over")
        one_line(run("receive", capture, out, "--config", config_file, "--report", none / "x"), "there is no folder")
        one_line(run("receive", capture, out, "--config", config_file, "--trace", none / "x"), "there is no folder")
        one_line(run("receive", capture, out, "--config", config_file, "--preset", "1g"), "there is no preset '1g'")
        assert not out.exists()

    def test_nothing_to_receive(self, run: Run, capture: Path, config_file: Path, tmp_path: Path) -> None:
        text = CONFIG.replace('vnet = "underlay"\nslow_path = "host"\n', "", 1)
        config_file.write_text(text[: text.index("[[terminate]]")])
        ran = run("receive", capture, tmp_path / "out.pcap", "--config", config_file)
        one_line(ran, f"{config_file}: nothing is received: there is no [[terminate]], and [uplink] has no vnet")

    def test_a_card_that_cannot_be_built(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise sim.card.BuildError("no C++ compiler found\nanywhere")

        monkeypatch.setattr(sim.card, "VirtualReceiver", broken, raising=False)
        ran = run("receive", capture, tmp_path / "out.pcap", "--config", config_file)
        one_line(ran, "virtual card: no C++ compiler found anywhere")

    def test_help(self, run: Run) -> None:
        ran = run("receive", "--help")
        assert ran.code == 0 and "Usage: tunnelnic receive" in ran.out and "Example:" in ran.out


def test_the_driver_is_told_what_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`program` leaves the rows to the driver."""
    told: list[object] = []
    monkeypatch.setattr("driver.receive.program", lambda card, settings, fresh: told.extend((card, settings, fresh)))
    monkeypatch.setattr(Config, "driver_receive", lambda config, preset: config.uplink.slow_path, raising=False)
    card, config = FakeReceiver(PRESETS["10g"]), parse_config(CONFIG)
    receive_simulation.program(card, config)
    assert told == [card, "host", True]


class TestTheWire:
    def test_arrivals(self) -> None:
        """Preamble 8, packet, FCS 4, gap 12; 0.8 ns a byte at 10 Gb/s."""
        assert arrivals([bytes(60), bytes(1000)], None, 10**10) == [54, 874]
        assert arrivals([bytes(60), bytes(60), bytes(60)], [0, 1000, 1001], 10**10) == [54, 1054, 1122]

    def test_times_and_padding(self) -> None:
        packets = [CapturedPacket(b"a" * 14, 1000), CapturedPacket(b"b" * 61, 900), CapturedPacket(b"", 1500)]
        assert times_of(packets) == [0, 0, 500]
        assert on_the_wire(packets) == [b"a" * 14 + bytes(46), b"b" * 61, bytes(60)]


def interfaces(data: bytes) -> tuple[list[str], list[int]]:
    """Names of a pcapng file's interfaces, and the interface of each packet, as the format's blocks say."""
    names, numbers, at = [], [], 0
    while at < len(data):
        kind, size = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + size - 4]
        if kind == pcapng.INTERFACE:
            names += [value.decode() for code, value in pcapng.options(body[8:], "<") if code == pcapng.NAME]
        if kind == pcapng.ENHANCED_PACKET:
            numbers.append(int.from_bytes(body[:4], "little"))
        at += size
    return names, numbers


def inner(path: Path) -> list[bytes]:
    """The frames in a capture of GRE packets with a key."""
    return [packet.data[14 + 20 + 8 :] for packet in captures.read(path)]
