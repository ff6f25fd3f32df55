"""Every way to wrap that the tools measure and show: names, and a configuration of one tunnel each."""

from collections.abc import Mapping, Sequence
from itertools import product

from host.config import Config

LOCAL = {4: "192.0.2.1", 6: "2001:db8::1"}
REMOTE = {4: "192.0.2.2", 6: "2001:db8::2"}
GRE_FLAGS: Mapping[str, Mapping[str, object]] = {
    "key": {"key": 0x12345678},
    "checksum": {"checksum": True},
    "sequence": {"sequence": True},
}
OTHERS: Mapping[str, Mapping[str, object]] = {
    "nvgre": {"encapsulation": "nvgre", "key": 0x123401},
    "vxlan": {"encapsulation": "vxlan", "key": 0x1234},
    "geneve": {"encapsulation": "geneve", "key": 0x1234, "options": "0102800100000001"},
    "stt frame": {"encapsulation": "stt", "key": 0x0123456789ABCDEF, "stt_mode": "frame"},
    "stt segment": {"encapsulation": "stt", "key": 0x0123456789ABCDEF, "stt_mode": "segment"},
}


def all_tunnels() -> dict[str, dict[str, object] | None]:
    """Name to the tunnel table of a configuration; None is the bare uplink, plain TSO.

    GRE with each mix of key, checksum and sequence, the others once; all over IPv4 and over IPv6. VXLAN and Geneve have
    the UDP checksum that is usual there: none over IPv4, computed over IPv6.
    """
    kinds: dict[str, Mapping[str, object]] = {}
    for chosen in product((False, True), repeat=len(GRE_FLAGS)):
        flags = [flag for flag, used in zip(GRE_FLAGS, chosen, strict=True) if used]
        values = {key: value for flag in flags for key, value in GRE_FLAGS[flag].items()}
        kinds[" ".join(["gre", *flags])] = {"encapsulation": "gre", **values}
    tunnels: dict[str, dict[str, object] | None] = {"plain": None}
    for name, kind in {**kinds, **OTHERS}.items():
        for version in (4, 6):
            ends = {"local": LOCAL[version], "remote": REMOTE[version], "next_hop": "02:00:00:00:00:02"}
            tunnels[f"{name} ipv{version}"] = {"name": "remote", **kind, **ends}
    return tunnels


def config_of(tunnel: dict[str, object] | None, mtu: int = 1500, vports: int = 1) -> Config:
    """Vports whose frames all go one way."""
    return config({"tunnel": [] if tunnel is None else [tunnel]}, {"*": tunnel}, mtu, vports)


def config_of_peers(tunnel: dict[str, object] | None, macs: Sequence[bytes], mtu: int = 1500) -> Config:
    """A vport for each address to which frames go; each has an outer source address of its own, as if of its own card.

    No two of up to seven sources are of one class for whoever puts STT frames together.
    """
    tunnels = [
        {**tunnel, "name": f"remote{number}", "local": f"{str(tunnel['local'])[:-1]}{2 * number + 1}"}
        for number in range(len(macs))
        if tunnel is not None
    ]
    ways = {mac.hex(":"): tunnels[number] if tunnels else None for number, mac in enumerate(macs)}
    return config({"tunnel": tunnels}, ways, mtu, len(macs))


def config(
    tunnels: Mapping[str, object], ways: Mapping[str, Mapping[str, object] | None], mtu: int, vports: int
) -> Config:
    """One vnet; `ways` says through which tunnel an address is reached, None: without one."""
    return Config.model_validate(
        {
            "uplink": {"mac": "02:00:00:00:00:01", "mtu": mtu},
            "vnet": [{"name": "blue"}],
            "vport": [{"name": f"vm{number}", "vnet": "blue"} for number in range(1, vports + 1)],
            **tunnels,
            "forward": [
                {"vnet": "blue", "mac": mac, "to": "uplink" if tunnel is None else f"tunnel:{tunnel['name']}"}
                for mac, tunnel in ways.items()
            ],
        }
    )
