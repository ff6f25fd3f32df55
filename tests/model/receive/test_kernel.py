"""The receive model against the Linux kernel's receive side: 1,412 bursts of tunnel packets, and what a TAP got.

Here packet by packet: which are dropped, and the bytes of every frame that the kernel did not merge with another. See
tests/vectors/gro/README.md.
"""

from collections import Counter

import pytest

from sim.model.receive.outer import read
from sim.model.receive.receiver import Receiver
from sim.model.receive.terminate import Address, Settings, Terminate
from sim.model.receive.verify import BAD, GOOD, NONE
from tests.support import gro
from tests.support.receivers import account

KIND = {"gretap": "gre", "ip6gretap": "gre", "vxlan": "vxlan", "geneve": "geneve"}
NEEDS_CHECKSUM, CHECKSUM_VALID = 1, 2  # flags of the virtio-net header

# Where the kernel drops and this card does not, and the other way round: by the start of the case's name.
KERNEL_IS_STRICTER = {
    "vxr": "reserved bits of VXLAN are ignored (RFC 7348)",
    "vxf": "reserved flags of VXLAN are ignored (RFC 7348)",
    "gcs": "a GRE checksum is taken whether or not the tunnel sends one, and missed by nobody (RFC 2784)",
}
BAD_INSIDE = ("badtcp", "badip")  # one packet of the burst, delivered as it came
WE_ARE_STRICTER = {"goam": "a Geneve control message is not for the vnet (RFC 8926): it goes the slow path"}


def entry(link: str, local: Address, vnet: int) -> Terminate:
    """The termination entry of the device that `ip link add ... LINK` makes."""
    words = link.split()
    encapsulation = KIND[words[words.index("type") + 1]]
    name = "key" if encapsulation == "gre" else "id"
    return Terminate(
        encapsulation,
        local,
        vnet,
        key=int(words[words.index(name) + 1], 0) if name in words else None,
        udp_checksum="optional" if "udp6zerocsumrx" in words else None,
    )


@pytest.mark.parametrize("file", gro.FILES)
def test_what_arrives(file: str):
    differences: Counter[str] = Counter()
    alone = 0
    for case in gro.load(file):
        outer = read(case.packets[0])
        assert outer is not None
        entries = [entry(link, outer.destination, vnet) for vnet, link in enumerate(case.links)]
        receiver = Receiver(Settings(entries, slow_path=True))
        found = [receiver.receive(packet) for packet in case.packets]
        account(receiver)
        gone = {number for number, one in enumerate(found) if one is None or one.slow}
        family, message = case.family, f"{case.name}: {case.varies}"
        if set(case.missing) - gone:
            assert family in KERNEL_IS_STRICTER, message
            differences[family] += 1
        if gone - set(case.missing):
            assert family in WE_ARE_STRICTER, message
            differences[family] += 1
        flagged = 0
        for frame in case.handed:
            one = found[frame.packets[0]]
            if len(frame.packets) > 1 or frame.flags & NEEDS_CHECKSUM or one is None or one.slow:
                continue
            assert one.frame == frame.content, message
            alone += 1
            bad = BAD in (one.ip_checksum, one.l4_checksum)
            flagged += bad
            assert not bad or family in BAD_INSIDE, message
            if frame.flags & CHECKSUM_VALID:
                assert one.l4_checksum == GOOD and one.ip_checksum in (GOOD, NONE), message
        assert flagged == (family in BAD_INSIDE), message
    assert alone > 20, "frames compared byte for byte"
    assert differences.keys() <= KERNEL_IS_STRICTER.keys() | WE_ARE_STRICTER.keys()


def test_all_are_here():
    assert sum(1 for _ in gro.load()) == 1412
