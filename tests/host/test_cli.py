"""The command: what it writes, what it says, and with which exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hdl.registers.counters import TxCounter
from host import captures, demo
from host.bench import windows
from host.encapsulations import all_tunnels, config_of
from host.expect import expect
from host.packets import CapturedPacket
from host.segment import to_frames
from host.traffic import PATTERNS, frames
from host.wire import rate, seconds, units
from sim.model.card import Card
from sim.model.parse import parse
from tests.host.conftest import CONFIG, Ran
from tests.host.fake_card import FakeCard
from tests.support.frames import tcp_frame

Run = Callable[..., Ran]
KEYS = {
    *("preset", "width_bits", "clock_hz", "cycles", "frames_in", "bytes_in", "segments_out", "bytes_out"),
    *("wire_utilisation", "goodput_bps", "drops", "checked", "mismatches", "simulation_cycles_per_second"),
    *("frames_sent", "unparsed", "underruns", "check_seconds"),
}


def one_line(ran: Ran, message: str, code: int = 2) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("tunnelnic: ") and ran.err.count("\n") == 1, ran.err
    assert message in ran.err, ran.err


class TestSegment:
    @pytest.mark.parametrize("ending", (".pcap", ".pcapng"))
    def test_what_it_writes(
        self, ending: str, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        out, report_file = tmp_path / f"out{ending}", tmp_path / "report.json"
        ran = run("segment", capture, out, "--config", config_file, "--report", report_file)
        assert ran.code == 0, ran.err
        report, found = json.loads(report_file.read_text()), captures.read(out)
        assert set(report) >= KEYS
        # 5000 bytes at the vport's MTU of 1450: three of 1410 and one of 770; then three frames as they are.
        assert [len(packet.data) for packet in found] == [1510, 1510, 1510, 870, 100, 88 - 14 + 14, 125]
        assert (report["frames_in"], report["frames_sent"], report["segments_out"]) == (4, 4, 7)
        assert (report["checked"], report["mismatches"], report["drops"], report["underruns"]) == (7, 0, {}, 0)
        assert report["bytes_out"] == sum(len(packet.data) for packet in found)
        assert report["payload_bytes"] == 5000 + 5
        assert "all 7 packets as the model has them" in ran.out

    def test_times_agree_with_the_report(
        self, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.pcap"
        report = json.loads(run("segment", capture, out, "--config", config_file, "--json").out)
        found = captures.read(out)
        sizes = [len(packet.data) for packet in found]
        span = found[-1].time_ns - found[0].time_ns + units(sizes[-1:]) * 0.8
        assert report["wire_utilisation"] == pytest.approx(units(sizes) * 0.8 / span, rel=1e-3) == 1.0
        assert report["wire_seconds"] == pytest.approx(span * 1e-9, rel=1e-3)
        assert report["goodput_bps"] == pytest.approx(5005 * 8 / span * 1e9, rel=1e-3)

    def test_comment_wins_over_the_option(
        self, run: Run, fake_card: type[FakeCard], config_file: Path, tmp_path: Path
    ) -> None:
        source, out = tmp_path / "in.pcapng", tmp_path / "out.pcap"
        frame = tcp_frame(4, bytes(3000))
        captures.write(
            source, [CapturedPacket(frame, comments=("gso_size=1000 gso_type=tcpv4",)), CapturedPacket(frame)]
        )
        report = json.loads(run("segment", source, out, "--config", config_file, "--gso-size", 600, "--json").out)
        assert report["segments_out"] == 3 + 5

    def test_other_vport(
        self, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out.pcap"
        report = json.loads(run("segment", capture, out, "--config", config_file, "--vport", "vm2", "--json").out)
        assert report["segments_out"] == 7 and len(captures.read(out)[0].data) == 18 + 1500

    def test_without_check(
        self, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake_card.spoil = staticmethod(lambda packets: [packets[0][:-1] + b"?", *packets[1:]])
        out = tmp_path / "out.pcap"
        ran = run("segment", capture, out, "--config", config_file, "--no-check", "--json")
        report = json.loads(ran.out)
        assert (ran.code, report["checked"], report["mismatches"], report["check_seconds"]) == (0, 0, 0, None)
        assert report["payload_bytes"] == 5005
        assert "not checked" in run("segment", capture, out, "--config", config_file, "--no-check").out

    @pytest.mark.parametrize("check", ("--check", "--no-check"))
    def test_drops_are_named_and_their_payload_is_no_goodput(
        self, check: str, run: Run, fake_card: type[FakeCard], config_file: Path, tmp_path: Path
    ) -> None:
        source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
        captures.write(
            source, [CapturedPacket(tcp_frame(4, bytes(n))) for n in (100, 1500)] + [CapturedPacket(b"tiny")]
        )
        ran = run("segment", source, out, "--config", config_file, "--gso-size", 0, "--json", check)
        report = json.loads(ran.out)
        assert (ran.code, report["drops"], report["frames_sent"]) == (0, {"runt": 1, "mtu": 1}, 1)
        assert report["payload_bytes"] == 100
        ran = run("segment", source, out, "--config", config_file, "--gso-size", 0, check)
        assert "runt 1, mtu 1" in ran.out

    def test_a_wrong_packet_is_a_failure(
        self, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake_card.spoil = staticmethod(lambda packets: [*packets[:3], packets[3][:-1] + b"?", *packets[4:]])
        ran = run("segment", capture, tmp_path / "out.pcap", "--config", config_file, "--json")
        report = json.loads(ran.out)
        assert (ran.code, report["checked"], report["mismatches"]) == (1, 7, 1)
        assert report["first_mismatch"].startswith("packet 4 differs from byte 869 on: 3f, expected")
        ran = run("segment", capture, tmp_path / "out.pcap", "--config", config_file)
        assert ran.code == 1 and "1 of 7 packets differ" in " ".join(ran.out.split())

    @pytest.mark.parametrize("check", ("--check", "--no-check"))
    def test_a_lost_packet_is_a_failure(
        self, check: str, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake_card.spoil = staticmethod(lambda packets: packets[:-1])
        ran = run("segment", capture, tmp_path / "out.pcap", "--config", config_file, "--json", check)
        assert ran.code == 1 and json.loads(ran.out)["accounted"] is False

    def test_an_unaccounted_frame_is_a_failure(
        self, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        fake_card.lose = TxCounter.FRAMES_SENT
        ran = run("segment", capture, tmp_path / "out.pcap", "--config", config_file)
        assert ran.code == 1 and "NOT every frame" in ran.out

    def test_everything_dropped_is_fine_if_the_configuration_says_so(
        self, run: Run, fake_card: type[FakeCard], capture: Path, tmp_path: Path
    ) -> None:
        config = tmp_path / "drop.toml"
        config.write_text(CONFIG.replace('to = "tunnel:to-b"', 'to = "drop"'))
        out = tmp_path / "out.pcap"
        ran = run("segment", capture, out, "--config", config, "--json")
        report = json.loads(ran.out)
        assert (ran.code, report["drops"], report["wire_utilisation"]) == (0, {"policy": 4}, 0.0)
        assert len(out.read_bytes()) == 24, "a capture without packets"


class TestBadInput:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("segment",), "Missing argument 'IN'"),
            (("segment", "a.pcap"), "Missing argument 'OUT'"),
            (("segment", "a.pcap", "b.pcap"), "Missing option '--config'"),
            (("segment", "a.pcap", "b.pcap", "--config", "c", "--gso-size", "70000"), "'--gso-size'"),
            (("segment", "a.pcap", "b.pcap", "--konfig", "c"), "--konfig"),
            (("segmented",), "No such command 'segmented'"),
            (("bench", "zx"), "No such command 'zx'"),
            (("bench", "tx", "--pattern", "33k"), "there is no pattern '33k'; there are 32k, 64, mix"),
            (
                ("bench", "tx", "--encapsulation", "ipip"),
                "there is no encapsulation 'ipip'; there are plain, gre ipv4, ",
            ),
            (("bench", "tx", "--preset", "40g"), "there is no preset '40g'; there are ecp5-1g, 10g, 25g, 100g"),
            (("bench", "tx", "--json", "/nowhere/x.json"), "there is no folder /nowhere"),
            (("demo", "--preset", "40g"), "there is no preset '40g'"),
            (("demo", "--capture", "/nowhere/x.pcap"), "/nowhere/x.pcap: no such file"),
        ],
    )
    def test_usage(self, words: tuple[str, ...], message: str, run: Run) -> None:
        one_line(run(*words), message)

    def test_files(self, run: Run, fake_card: type[FakeCard], capture: Path, config_file: Path, tmp_path: Path) -> None:
        out, none = tmp_path / "out.pcap", tmp_path / "none"
        one_line(run("segment", none, out, "--config", config_file), f"{none}: no such file")
        one_line(run("segment", capture, out, "--config", none), f"{none}: no such file")
        one_line(run("segment", config_file, out, "--config", config_file), "not a capture: neither pcap nor pcapng")
        one_line(run("segment", capture, tmp_path / "out.txt", "--config", config_file), "must end in .pcap or .pcapng")
        one_line(run("segment", capture, none / "out.pcap", "--config", config_file), "there is no folder")
        one_line(run("segment", capture, out, "--config", config_file, "--report", none / "x"), "there is no folder")
        one_line(run("segment", capture, out, "--config", config_file, "--trace", none / "x"), "there is no folder")
        one_line(run("segment", capture, out, "--config", config_file, "--report", tmp_path), "is a folder")
        assert not out.exists()
        for name in ("--report", "--trace"):
            one_line(run("segment", capture, out, "--config", config_file, name, "/proc/x"), "/proc/x: No such file")

    def test_nothing_that_is_in_use_is_written_over(
        self, run: Run, capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        before, out = capture.read_bytes(), tmp_path / "out.pcap"
        one_line(run("segment", capture, capture, "--config", config_file), f"{capture}: would be written over")
        one_line(
            run("segment", capture, out, "--config", config_file, "--report", config_file), "would be written over"
        )
        one_line(run("segment", capture, out, "--config", config_file, "--report", out), "would be written over")
        assert capture.read_bytes() == before and config_file.read_text() == CONFIG and not out.exists()

    def test_broken_captures(self, run: Run, capture: Path, config_file: Path, tmp_path: Path) -> None:
        cut, empty, out = tmp_path / "cut.pcap", tmp_path / "empty.pcap", tmp_path / "out.pcap"
        cut.write_bytes(capture.read_bytes()[:-1])
        empty.write_bytes(capture.read_bytes()[:24])
        one_line(
            run("segment", cut, out, "--config", config_file), f"{cut}: truncated capture: it ends inside packet 4"
        )
        one_line(run("segment", empty, out, "--config", config_file), f"{empty}: empty capture: there are no packets")

    def test_configuration(self, run: Run, capture: Path, config_file: Path, tmp_path: Path) -> None:
        config_file.write_text(CONFIG.replace("ttl = 64", "tll = 64"))
        one_line(run("segment", capture, tmp_path / "out.pcap", "--config", config_file), "did you mean 'ttl'?")

    def test_names(self, run: Run, capture: Path, config_file: Path, tmp_path: Path) -> None:
        words = ("segment", capture, tmp_path / "out.pcap", "--config", config_file)
        one_line(run(*words, "--vport", "vm3"), "there is no vport 'vm3'; there are 'vm1', 'vm2'")
        one_line(run(*words, "--preset", "1g"), "there is no preset '1g'; there are ecp5-1g, 10g, 25g, 100g")

    def test_comment_that_makes_no_sense(self, run: Run, config_file: Path, tmp_path: Path) -> None:
        source = tmp_path / "in.pcapng"
        captures.write(source, [CapturedPacket(tcp_frame(4, b"x"), comments=("gso_size=many",))])
        ran = run("segment", source, tmp_path / "out.pcap", "--config", config_file)
        one_line(ran, f"{source}: packet 1: gso_size=many in its comment is not a number")

    def test_frame_that_no_descriptor_can_tell_of(self, run: Run, config_file: Path, tmp_path: Path) -> None:
        source = tmp_path / "in.pcap"
        captures.write(source, [CapturedPacket(bytes(1 << 17))])
        one_line(run("segment", source, tmp_path / "out.pcap", "--config", config_file), "packet 1: length is 131072")

    def test_an_error_of_our_own_is_one_line_too(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("of all things")

        monkeypatch.setattr("host.segment.segment", broken)
        words = ("segment", capture, tmp_path / "out.pcap", "--config", config_file)
        one_line(run(*words), "unexpected ZeroDivisionError: of all things; run `tunnelnic --debug ...`", 3)
        assert "Traceback" in run("--debug", *words).err

    def test_a_card_that_cannot_be_built(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, capture: Path, config_file: Path, tmp_path: Path
    ) -> None:
        import sim.card

        def broken(*_: object, **__: object) -> None:
            raise sim.card.BuildError("no C++ compiler found\nanywhere")

        monkeypatch.setattr(sim.card, "VirtualCard", broken)
        ran = run("segment", capture, tmp_path / "out.pcap", "--config", config_file)
        one_line(ran, "virtual card: no C++ compiler found anywhere")


class TestHelp:
    @pytest.mark.parametrize("words", [(), ("segment",), ("bench",), ("bench", "tx"), ("demo",)])
    def test_help(self, words: tuple[str, ...], run: Run) -> None:
        ran = run(*words, "--help")
        assert ran.code == 0 and "Usage: tunnelnic" in ran.out
        assert ("Example:" in ran.out) == (words != ())

    def test_version(self, run: Run) -> None:
        ran = run("--version")
        assert ran.code == 0 and ran.out.startswith("tunnelnic")

    def test_no_words_at_all(self, run: Run) -> None:
        ran = run()
        assert ran.code == 2 and "Usage: tunnelnic" in ran.out


class TestBench:
    def test_rows(self, run: Run, fake_card: type[FakeCard], tmp_path: Path) -> None:
        path = tmp_path / "bench.json"
        chosen = ("plain", "gre key checksum sequence ipv6", "stt frame ipv4")
        words = [word for name in chosen for word in ("--encapsulation", name)]
        ran = run("bench", "tx", *words, "--json", path, "--cycles", 4_000)
        assert ran.code == 0, ran.err
        rows = json.loads(path.read_text())["rows"]
        assert len(rows) == 2 * len(chosen) * len(PATTERNS)
        keys = {"preset", "encapsulation", "pattern", "wire_utilisation", "goodput_bps", "limit_bps", "ratio"}
        assert all(keys <= set(row) and row["wire_utilisation"] == 1.0 for row in rows)
        by_name = {(row["preset"], row["encapsulation"], row["pattern"]): row for row in rows}
        # 32 KB at 1448 bytes a segment: 22 full packets of 1514 bytes and one of 912 + 66.
        limit = 10e9 * 32768 / (22 * (1514 + 24) + 912 + 66 + 24)
        assert by_name["10g", "plain", "32k"]["limit_bps"] == pytest.approx(limit)
        assert by_name["100g", "plain", "64"]["limit_bps"] == pytest.approx(100e9 * 6 / 84)
        assert "stt frame ipv4" in ran.out

    def test_json_to_standard_output(self, run: Run, fake_card: type[FakeCard]) -> None:
        ran = run(
            "bench",
            "tx",
            "--encapsulation",
            "plain",
            "--pattern",
            "64",
            "--preset",
            "10g",
            "--json",
            "-",
            "--cycles",
            2000,
        )
        assert [row["pattern"] for row in json.loads(ran.out)["rows"]] == ["64"]

    def test_a_card_that_cuts_otherwise_is_found_out(self, run: Run, fake_card: type[FakeCard]) -> None:
        fake_card.spoil = staticmethod(lambda packets: [packet + bytes(100) for packet in packets])
        ran = run(
            "bench", "tx", "--encapsulation", "plain", "--pattern", "32k", "--preset", "10g", "--cycles", 1_000_000
        )
        one_line(ran, "10g plain 32k: the packets do not have the sizes that the model gives them")

    def test_windows(self) -> None:
        """Whatever packet a window begins with, and however many rounds it lasts."""
        assert windows([1, 10, 100], 2) == {11, 110, 101}
        assert windows([1, 10, 100], 6) == {222}
        assert windows([1, 10, 100], 7) == {223, 232, 322}

    @pytest.mark.parametrize("pattern", PATTERNS)
    @pytest.mark.parametrize("name", all_tunnels())
    def test_no_pattern_is_dropped_by_any_encapsulation(self, name: str, pattern: str) -> None:
        """Each is measured with what it really sends."""
        config = config_of(all_tunnels()[name])
        sent = to_frames([CapturedPacket(frame) for frame in frames(pattern)], config)
        expected = expect(config.model_network(), sent)
        assert expected.counters["frames_sent"] == len(sent) and expected.counters["unparsed"] == 0

    def test_mix_is_what_it_says(self) -> None:
        lengths = [len(frame) for frame in frames("mix")]
        assert min(lengths) >= 60 and max(lengths) <= 9000 and max(lengths) > 8000 and min(lengths) == 60
        assert frames("mix") == frames("mix") and frames("mix", seed=2) != frames("mix")
        assert {len(frame) for frame in frames("64")} == {60}


class TestDemo:
    def test_every_encapsulation(self, run: Run, fake_card: type[FakeCard], tmp_path: Path) -> None:
        ran = run("demo", "--folder", tmp_path / "demo", "--json")
        assert ran.code == 0, ran.err
        rows = {row["encapsulation"]: row for row in json.loads(ran.out)["rows"]}
        assert list(rows) == list(all_tunnels())
        total = sum(len(packet.data) for packet in captures.read(demo.CAPTURE))
        for name, row in rows.items():
            assert (row["frames_in"], row["bytes_in"], row["mismatches"], row["drops"]) == (58, total, 0, {}), name
            assert len(captures.read(Path(row["capture"]))) == row["segments_out"] == row["checked"]
            assert len(captures.read(Path(row["input"]))) == row["frames_in"]
        assert rows["stt frame ipv4"]["goodput_bps"] > 1.005 * rows["plain"]["goodput_bps"]

    def test_its_input_says_how_it_was_cut(self, run: Run, fake_card: type[FakeCard], tmp_path: Path) -> None:
        """The comments of what went in give the same packets again, whatever would be the default."""
        assert run("demo", "--folder", tmp_path).code == 0
        packets, (name, tunnel) = captures.read(tmp_path / "vxlan-ipv6.in.pcapng"), ("vxlan ipv6", all_tunnels())
        frames = to_frames(packets, config_of(tunnel[name], mtu=9000), gso_size=1)
        again = expect(config_of(tunnel[name]).model_network(), frames).packets
        assert again == [packet.data for packet in captures.read(tmp_path / "vxlan-ipv6.pcap")]

    @pytest.mark.parametrize(("name", "gigabits"), [("plain", 9.332), ("vxlan ipv4", 9.008), ("stt frame ipv4", 9.423)])
    def test_limits_of_the_real_capture(self, name: str, gigabits: float) -> None:
        """As they were worked out by hand for its TCP frames before there was a line of code."""
        config = config_of(all_tunnels()[name])
        packets = [packet for packet in captures.read(demo.CAPTURE) if parse(packet.data).tcp]
        expected = expect(config.model_network(), to_frames(packets, config))
        limit = rate(expected.payload, seconds(units(map(len, expected.packets)), 10**10))
        assert limit == pytest.approx(gigabits * 1e9, abs=0.5e6)

    def test_a_mismatch_is_a_failure(self, run: Run, fake_card: type[FakeCard], tmp_path: Path) -> None:
        fake_card.spoil = staticmethod(lambda packets: [packets[0][:-1] + b"?", *packets[1:]])
        ran = run("demo", "--folder", tmp_path / "demo")
        assert ran.code == 1 and "plain" in ran.out

    def test_where_it_cannot_write(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        one_line(run("demo", "--folder", tmp_path / "file" / "demo"), "Not a directory")


def test_every_gre_mix_is_there() -> None:
    names = [name for name in all_tunnels() if name.startswith("gre ")]
    assert len(names) == 16 and len(all_tunnels()) == 1 + 16 + 2 * 5
    assert all(
        Card(config_of(tunnel).model_network()).transmit(tcp_frame(4, b"x")) for tunnel in all_tunnels().values()
    )
