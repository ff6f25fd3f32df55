"""The tools with the compiled card: what a user gets."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from host import captures, demo
from host.wire import units
from tests.host.conftest import CONFIG, Ran
from tests.support import tshark

Run = Callable[..., Ran]


@pytest.mark.parametrize("encapsulation", ("gre", "nvgre", "vxlan", "geneve", "stt"))
def test_web_server(encapsulation: str, run: Run, tmp_path: Path) -> None:
    config, out, report_file = tmp_path / "net.toml", tmp_path / "out.pcapng", tmp_path / "report.json"
    config.write_text(CONFIG.replace('encapsulation = "gre"', f'encapsulation = "{encapsulation}"'))
    ran = run("segment", demo.CAPTURE, out, "--config", config, "--vport", "vm2", "--report", report_file)
    assert ran.code == 0, ran.out + ran.err
    report, packets = json.loads(report_file.read_text()), captures.read(out)
    assert report["frames_in"] == report["frames_sent"] == 58
    assert report["checked"] == report["segments_out"] == len(packets) and report["mismatches"] == 0
    assert tshark.problems([packet.data for packet in packets], stt=encapsulation == "stt") == []
    # The times in the capture are the report's: from the first packet's start to the last one's end, in byte times.
    sizes = [len(packet.data) for packet in packets]
    span = (packets[-1].time_ns - packets[0].time_ns) * 10 / 8 + units(sizes[-1:])
    assert report["wire_utilisation"] == pytest.approx(units(sizes) / span, abs=1e-5)
    assert 0.998 <= report["wire_utilisation"] <= 1
    gaps = [later.time_ns - packet.time_ns - 0.8 * units([len(packet.data)]) for packet, later in pairwise(packets)]
    assert min(gaps) > -1.01, "no packet begins before the one before it has ended"


def test_to_another_vport(run: Run, tmp_path: Path) -> None:
    """A capture that never sees the wire: super-segments stay whole, and `segment` can take them from there."""
    config, out, local = tmp_path / "net.toml", tmp_path / "out.pcapng", tmp_path / "local.pcapng"
    report_file = tmp_path / "report.json"
    config.write_text(CONFIG.replace('to = "tunnel:to-b"', 'to = "vport:vm1"'))
    ran = run(
        *("segment", demo.CAPTURE, out, "--config", config, "--vport", "vm2"),
        *("--local", local, "--report", report_file),
    )
    assert ran.code == 0, ran.out + ran.err
    report, frames = json.loads(report_file.read_text()), captures.read(local)
    assert (report["frames_in"], report["frames_local"], report["frames_sent"]) == (58, 58, 0)
    assert report["accounted"]
    assert report["checked"] == len(frames) == 58 and report["mismatches"] == 0
    assert [len(frame.data) for frame in frames] == [len(frame.data) for frame in captures.read(demo.CAPTURE)]
    assert {frame.interface for frame in frames} == {0}
    large = [frame for frame in frames if len(frame.data) > 1514]
    said = {frame.comments[0].split(maxsplit=1)[1] for frame in large}
    assert said == {f"gso_type=tcpv{version} checksum=partial queue=0" for version in (4, 6)}
    # the other vport sends them on as they came
    config.write_text(CONFIG)
    assert run("segment", local, out, "--config", config).code == 0
    # and gets no more at once than it takes
    to_vport = CONFIG.replace('to = "tunnel:to-b"', 'to = "vport:vm1"')
    config.write_text(to_vport.replace('name = "vm1"', 'name = "vm1"\nreceive_mtu = 1500'))
    ran = run("segment", demo.CAPTURE, out, "--config", config, "--vport", "vm2", "--local", local)
    assert ran.code == 0, ran.out + ran.err
    cut = captures.read(local)
    assert max(len(frame.data) for frame in cut) == 1514
    assert tshark.problems([frame.data for frame in cut]) == []


def test_bench(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    ran = run(
        *("bench", "tx", "--preset", "10g", "--encapsulation", "gre key ipv4", "--pattern", "32k"),
        *("--cycles", 200_000, "--json", path),
    )
    assert ran.code == 0, ran.err
    (row,) = json.loads(path.read_text())["rows"]
    assert row["wire_utilisation"] >= 0.998 and row["goodput_bps"] >= 0.998 * row["limit_bps"] > 9.1e9


@pytest.mark.full
def test_trace(run: Run, capture: Path, config_file: Path, tmp_path: Path) -> None:
    wave = tmp_path / "wave.vcd"
    assert run("segment", capture, tmp_path / "out.pcap", "--config", config_file, "--trace", wave).code == 0
    text = wave.read_text()
    assert "$enddefinitions" in text and text.count("\n#") > 1000
