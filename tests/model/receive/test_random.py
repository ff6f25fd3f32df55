"""Whatever comes off the wire: nothing is lost from the account, nothing enters a vnet that it has no key to."""

from collections import Counter
from random import Random

import pytest

from sim.model.card import Card
from sim.model.receive.reasons import DROPS, SLOW
from sim.model.receive.receiver import Receiver
from sim.model.receive.terminate import Settings, Terminate
from tests.support.frames import samples
from tests.support.mutations import mutate
from tests.support.networks import NETWORKS, TUNNELS
from tests.support.receivers import KNOWN, account, far_end, stt_packet

# One entry an encapsulation and IP version, NVGRE and GRE with a key apart; each is a vnet of its own.
NAMES = (
    "gre-v4",
    "gre-v4-csum-key-seq",
    "vxlan-v4-csum",
    "geneve-v4-options",
    "stt-v4-frame",
    "gre-v6",
    "nvgre-v6",
    "vxlan-v6-csum",
    "geneve-v6-options",
    "stt-v6-frame",
)
ENTRIES: tuple[Terminate, ...] = tuple(
    far_end(TUNNELS[name], vnet=number, udp_checksum=None) for number, name in enumerate(NAMES)
)


@pytest.mark.parametrize("seed", range(6))
def test_mutated_packets(seed: int):
    random = Random(seed)
    other = Receiver(
        Settings(ENTRIES, slow_path=bool(seed & 1), uplink={1: 99} if seed & 2 else {}, contexts=8, options=KNOWN)
    )
    cards = {name: Card(NETWORKS[name]) for name in NAMES}
    now = 0.0
    for number, sample in enumerate(samples(seed=100 + seed, count=150, largest=3000)):
        name = random.choice(NAMES)
        sent = cards[name].transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)
        for packet in sent:
            now += random.choice((0.0, 0.001, 1.0))
            changed = mutate(random, packet)
            one = other.receive(changed, now)
            message = f"frame {number}, {changed.hex()}; again: pytest '{__file__}' -k 'mutated and {seed}'"
            account(other)
            assert len(other.frames.open) <= 8, message
            if one is None or one.slow:
                assert one is None or (one.frame == changed and one.vnet is None), message
                continue
            if one.entry is None:
                assert one.vnet == 99 and one.frame == changed, message
                continue
            assert one.entry in ENTRIES and one.vnet == one.entry.vnet, message
            assert 14 <= len(one.frame) <= 65535, message
    other.expire(now + 60)
    account(other)
    assert other.held == 0


def test_the_mutations_are_worth_it():
    """They reach every early check; the checks behind a good checksum are tried by hand in the other files."""
    random, seen = Random(7), Counter[str]()
    other = Receiver(Settings(ENTRIES, contexts=4, options=KNOWN))
    cards = {name: Card(NETWORKS[name]) for name in NAMES}
    for sample in samples(seed=8, count=1500, largest=1500):
        name = random.choice(NAMES)
        for packet in cards[name].transmit(sample.frame, gso_size=sample.gso_size, accecn=sample.accecn)[:3]:
            other.receive(mutate(random, packet))
            seen[other.last_reason or "delivered or held"] += 1
    assert set(seen) <= {*SLOW, *DROPS, "delivered or held"}
    wanted = {"runt", "outer_length", "ip_checksum", "udp_checksum", "gre_checksum", "stt_checksum", "gre_version"}
    wanted |= {"gre_flags", "not_terminated", "outer_fragment", "delivered or held"}
    assert {reason for reason in wanted if not seen[reason]} == set(), seen


@pytest.mark.parametrize("seed", range(8))
def test_hostile_reassembly(seed: int):
    """Fragments at random against a slow and simple count of bytes: what is whole is exactly what first came."""
    random = Random(1000 + seed)
    header = bytes(8) + (TUNNELS["stt-v4-frame"].key or 0).to_bytes(8, "big") + bytes(2)
    other = Receiver(Settings((far_end(TUNNELS["stt-v4-frame"]),), holes=1000, contexts=1000))
    totals: dict[int, int] = {}
    here: dict[int, dict[int, int]] = {}
    done = 0
    for _ in range(2000):
        identifier = random.randrange(6)
        total = random.choice((80, totals.get(identifier, 90), 100))
        start, end = sorted(random.sample((0, 18, 30, 60, total), 2))
        if random.random() < 0.2:
            start, end = random.randrange(110), random.randrange(120)
        data = random.randbytes(max(0, end - start))
        if start == 0:
            data = header + data[18:] if len(data) >= 18 else data
        one = other.receive(stt_packet(identifier, total, start, data))
        account(other)
        good = data and start + len(data) <= total and total >= 32
        good = good and not 0 < start < 18 and not (start == 0 and len(data) < 18)
        good = good and totals.get(identifier, total) == total
        places = range(start, start + len(data))
        good = good and not any(place in here.get(identifier, {}) for place in places)
        message = f"seed {seed}: {identifier}, {total}, {start}, {len(data)}, {other.last_reason}"
        assert (other.last_reason is None) == bool(good), message
        if good:
            totals[identifier] = total
            here.setdefault(identifier, {}).update(zip(places, data, strict=True))
        if good and len(here[identifier]) == total:
            came = here.pop(identifier)
            whole = bytes(came[place] for place in range(total))
            assert one is not None and one.frame == whole[18:], message
            del totals[identifier]
            done += 1
        else:
            assert one is None, message
    assert done > 20
