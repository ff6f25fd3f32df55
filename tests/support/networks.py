"""A network for every encapsulation and every mix of its flags, and one that has them all at once.

In each of `NETWORKS` vport 0 goes to tunnel 0 whatever the destination ("plain": to the uplink). In `MIXED` vport k
goes to tunnel k, and the vports after them to the uplink, to nowhere by policy, and to nowhere for want of an entry.
"""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from typing import Any

from sim.model.network import Network, Tunnel

MAC = bytes.fromhex("020000000001")
NEXT_HOP = bytes.fromhex("020000000002")
MTU = 1500
ENDS: dict[int, tuple[IPv4Address, IPv4Address] | tuple[IPv6Address, IPv6Address]] = {
    4: (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")),
    6: (IPv6Address("fdee::1"), IPv6Address("fdee::2")),
}
GRE_KEY, NVGRE_KEY, VNI, CONTEXT = 0xC0FFEE42, 0x00123401, 0x123456, 0x0123456789ABCDEF
# Two options: class 0x0102, type 0x80 (critical), 12 bytes of data; class 0x0103, type 1, 12 bytes.
OPTIONS = bytes.fromhex("01028003 00112233 44556677 8899aabb 01030103 ccddeeff 00010203 04050607")
assert len(OPTIONS) == 32


def tunnel(encapsulation: str, version: int = 4, **more: Any) -> Tunnel:
    """A tunnel between the documentation's addresses."""
    keys = {"nvgre": NVGRE_KEY, "vxlan": VNI, "geneve": VNI, "stt": CONTEXT}
    local, remote = ENDS[version]
    return Tunnel(
        encapsulation, local=local, remote=remote, next_hop=NEXT_HOP, **{"key": keys.get(encapsulation), **more}
    )


def network(*tunnels: Tunnel, mtu: int = MTU) -> Network:
    """Vport k goes to tunnel k; without tunnels vport 0 goes to the uplink."""
    ports = range(max(1, len(tunnels)))
    forwarding: dict[tuple[int, bytes | None], str | int] = {(k, None): k if tunnels else "uplink" for k in ports}
    return Network(MAC, mtu, {k: k for k in ports}, forwarding, tunnels)


def tunnels() -> dict[str, Tunnel]:
    """Every encapsulation over both IP versions, with every mix of flags."""
    every = {}
    for version, csum, key, seq in product((4, 6), (False, True), (False, True), (False, True)):
        name = f"gre-v{version}" + "-csum" * csum + "-key" * key + "-seq" * seq
        every[name] = tunnel("gre", version, checksum=csum, key=GRE_KEY if key else None, sequence=seq)
    for version in (4, 6):
        every[f"nvgre-v{version}"] = tunnel("nvgre", version)
        for encapsulation, csum in product(("vxlan", "geneve"), (False, True)):
            every[f"{encapsulation}-v{version}" + "-csum" * csum] = tunnel(encapsulation, version, checksum=csum)
        every[f"geneve-v{version}-options"] = tunnel("geneve", version, checksum=True, options=OPTIONS)
        for mode in ("frame", "segment"):
            every[f"stt-v{version}-{mode}"] = tunnel("stt", version, stt_mode=mode)
    every["gre-v4-vlan"] = replace(every["gre-v4"], vlan=100)
    every["vxlan-v6-csum-vlan"] = replace(every["vxlan-v6-csum"], vlan=4094, ttl=7)
    every["stt-v4-frame-vlan"] = replace(every["stt-v4-frame"], vlan=1)
    every["vxlan-v4-pipe"] = replace(every["vxlan-v4"], dscp=46, df=False, ttl=255)
    return every


TUNNELS = tunnels()
NETWORKS = {"plain": network()} | {name: network(one) for name, one in TUNNELS.items()}


def mixed(names: tuple[str, ...]) -> Network:
    """These tunnels at once, and three more vports: to the uplink, dropped by policy, and without an entry."""
    base = network(*(TUNNELS[name] for name in names))
    n = len(names)
    uplink, policy, nowhere = n, n + 1, n + 2
    return replace(
        base,
        vports={**base.vports, uplink: uplink, policy: policy, nowhere: nowhere},
        forwarding={**base.forwarding, (uplink, None): "uplink", (policy, None): "drop"},
    )


MIXED_TUNNELS = (
    "gre-v4",
    "gre-v6-csum-key-seq",
    "gre-v4-seq",
    "nvgre-v4",
    "vxlan-v4",
    "vxlan-v6-csum",
    "geneve-v4-options",
    "stt-v4-frame",
    "stt-v6-segment",
)
MIXED = mixed(MIXED_TUNNELS)
