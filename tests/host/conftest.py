"""What the tools' tests share: a configuration, a capture, a card, and how to run the command."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import driver.receive
import sim.card
import sim.card.receive
from host import captures, cli
from host.packets import CapturedPacket
from tests.host.fake_card import FakeCard
from tests.host.fake_receiver import FakeReceiver
from tests.support.frames import arp, tcp_frame

CONFIG = """\
[uplink]
mac = "02:00:00:00:00:01"
mtu = 1500
[[vnet]]
name = "blue"
[[vport]]
name = "vm1"
vnet = "blue"
mtu = 1450
[[vport]]
name = "vm2"
vnet = "blue"
[[tunnel]]
name = "to-b"
encapsulation = "gre"
local = "192.0.2.1"
remote = "192.0.2.2"
next_hop = "02:00:00:00:00:02"
vlan = 100
key = 0x123401
checksum = false
sequence = false
options = ""
df = true
ttl = 64
dscp = "uniform"
stt_mode = "frame"
[[forward]]
vnet = "blue"
mac = "*"
to = "tunnel:to-b"
"""


@dataclass(frozen=True)
class Ran:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def fake_card(monkeypatch: pytest.MonkeyPatch) -> type[FakeCard]:
    """Every card that is opened is a fake one; a class of its own, so that a test may spoil it."""
    card = type("SpoiltCard", (FakeCard,), {})
    monkeypatch.setattr(sim.card, "VirtualCard", card)
    return card


@pytest.fixture
def fake_receiver(fake_card: type[FakeCard], monkeypatch: pytest.MonkeyPatch) -> type[FakeReceiver]:
    """Every card of both directions is a fake one; a class of its own, so that a test may spoil it."""
    receiver = type("SpoiltReceiver", (FakeReceiver,), {})
    monkeypatch.setattr(sim.card.receive, "VirtualReceiver", receiver)
    monkeypatch.setattr(driver.receive, "program", lambda card, description, fresh: card.program(description))
    return receiver


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `tunnelnic` with these words."""

    def go(*words: object) -> Ran:
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return go


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A super-segment of 5000 bytes, a pure ACK, an ARP request and a short TCP frame."""
    frames = [tcp_frame(4, bytes(range(250)) * 20), tcp_frame(4, b""), arp(), tcp_frame(6, b"hello")]
    path = tmp_path / "in.pcap"
    captures.write(path, [CapturedPacket(frame, 1000 * number) for number, frame in enumerate(frames)])
    return path
