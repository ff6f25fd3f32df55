"""What must hold for any frame, good or hostile, in any encapsulation; and that the random frames are worth it."""

from collections import Counter
from dataclasses import replace

import pytest

from sim.model.card import Card
from sim.model.fit import overhead
from sim.model.parse import parse
from tests.support.frames import GOOD, HOSTILE, samples
from tests.support.networks import NETWORKS, TUNNELS
from tests.support.wire import outer, stt_frames

COUNT = 300
ROOMY = replace(NETWORKS["plain"], mtu=70000)


def repeat(name: str, test: str) -> str:
    return f"again: pytest '{__file__}::{test}[{name}]'"


@pytest.mark.parametrize("name", TUNNELS)
def test_a_tunnel_carries_what_the_plain_uplink_would(name: str):
    """Inner packets are those of the bare uplink, but for a tag that moves out and STT's unfinished TCP checksum."""
    card, tunnel = Card(NETWORKS[name]), TUNNELS[name]
    for number, sample in enumerate(samples(seed=3, count=COUNT)):
        sent = card.transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
        message = f"sample {number}, {sample}; {repeat(name, 'test_a_tunnel_carries_what_the_plain_uplink_would')}"
        if not sent:
            assert card.last_drop in ("runt", "inner_vlan", "mtu"), message
            continue
        plain = Card(ROOMY).transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
        if tunnel.encapsulation in ("nvgre", "stt") and parse(sample.frame).tpid == 0x8100:
            plain = [packet[:12] + packet[16:] for packet in plain]
        assert all(outer(packet).length <= 1500 for packet in sent), message
        if tunnel.encapsulation != "stt":
            inner = [outer(packet).body[overhead(tunnel) - (20 if tunnel.version == 4 else 40) :] for packet in sent]
            assert inner == plain, message
            continue
        frames = stt_frames(sent)
        if frames[0].mss:  # the far side finishes it: segmented there, the same packets come out
            (whole,) = frames
            assert Card(ROOMY).transmit(whole.inner, gso_size=whole.mss) == plain, message
        else:
            assert [one.inner for one in frames] == plain, message


def test_what_went_out_is_finished():
    """A packet that comes in again goes out as it is: every checksum was already right."""
    for number, sample in enumerate(samples(seed=4, count=COUNT)):
        for packet in Card(ROOMY).transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn):
            assert Card(ROOMY).transmit(packet) == [packet], f"sample {number}, {sample}"


def test_unparsed_frames_are_untouched():
    count = 0
    for sample in samples(seed=5, count=COUNT, kinds=HOSTILE):
        if len(sample.frame) >= 14 and parse(sample.frame).unparsed:
            assert Card(ROOMY).transmit(sample.frame, gso_size=1) == [sample.frame]
            count += 1
    assert count > 50


class TestTheRandomFrames:
    def test_same_seed_same_frames(self):
        assert list(samples(seed=9, count=50)) == list(samples(seed=9, count=50)) != list(samples(seed=10, count=50))

    def test_good_frames_are_parsed(self):
        assert not any(parse(sample.frame).unparsed for sample in samples(seed=1, count=COUNT, kinds=GOOD))

    def test_every_outcome_occurs(self):
        seen: Counter[str] = Counter()
        for sample in samples(seed=2, count=1000):
            if len(sample.frame) < 14:
                seen["runt"] += 1
                continue
            headers = parse(sample.frame)
            family = f"IPv{headers.ip_version}" if headers.ip_version else "no IP"
            outcomes = ("unparsed", "tcp", "udp", "fragment")
            kind = next((name for name in outcomes if getattr(headers, name)), "other")
            seen[f"{family} {kind}"] += 1
            seen[f"{headers.tags} tags"] += 1
            seen["trailer"] += headers.trailer != b""
        families = {
            f"{family} {kind}"
            for family in ("IPv4", "IPv6")
            for kind in ("unparsed", "tcp", "udp", "fragment", "other")
        }
        wanted = families | {"runt", "no IP unparsed", "no IP other", "0 tags", "1 tags", "2 tags", "trailer"}
        assert {name for name in wanted if seen[name] < 3} == set()
