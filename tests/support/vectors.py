"""The Linux kernel's segmentation as test cases: see tests/vectors/README.md."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from sim.model.network import Network, Tunnel
from tests.support import pcap

FOLDER = Path(__file__).parents[1] / "vectors"
LOCAL: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("fdee::1")}
MAC, NEXT_HOP = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
KIND = {"gretap": "gre", "ip6gretap": "gre", "vxlan": "vxlan", "geneve": "geneve"}


@dataclass(frozen=True)
class Vector:
    """A super-frame, how it was sent, and the capture of what Linux made of it."""

    name: str
    network: Network  # vport 0 goes to tunnel 0
    frame: bytes
    gso_size: int
    accecn: bool
    expected: Path  # the kernel's packets, for compare.py

    def __str__(self) -> str:
        return self.name


def load() -> Iterator[Vector]:
    """All cases, in the index's order."""
    for line in (FOLDER / "index.jsonl").read_text().splitlines():
        case = json.loads(line)
        name = case["name"]
        (frame,) = pcap.read(FOLDER / f"{name}.in.pcap")
        tunnel = tunnel_of(case["link_args"])
        yield Vector(
            name=name,
            network=Network(MAC, case["underlay_mtu"], {0: 0}, {(0, None): 0}, (tunnel,)),
            frame=frame,
            gso_size=case["mss"],
            accecn=False,  # none of these kernels' cases asks for it: the virtio type is TCP, or TCP with ECN
            expected=FOLDER / f"{name}.out.pcap",
        )


def address(text: str) -> IPv4Address | IPv6Address:
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def tunnel_of(link_args: str) -> Tunnel:
    """The tunnel that `ip link add ... LINK_ARGS` makes, with Linux's defaults where nothing is said."""
    words = link_args.split()
    encapsulation = KIND[words[words.index("type") + 1]]

    def value(name: str) -> str | None:
        return words[words.index(name) + 1] if name in words else None

    remote = address(value("remote") or "")
    if encapsulation == "gre":
        key, checksum, df = value("key"), "csum" in words, "nopmtudisc" not in words
    else:
        key, df = value("id"), value("df") == "set"
        checksum = "udp6zerocsumtx" not in words if remote.version == 6 else "udpcsum" in words
    return Tunnel(
        encapsulation,
        local=LOCAL[remote.version],
        remote=remote,
        next_hop=NEXT_HOP,
        key=None if key is None else int(key, 0),
        checksum=checksum,
        sequence="oseq" in words,
        df=df,
    )
