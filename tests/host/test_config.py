"""The configuration file: what it means, and one clear line for everything that is wrong with it."""

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

import driver.network
from host.config import load, parse
from host.errors import UserError
from sim.model.network import ToVport
from tests.host.conftest import CONFIG

TUNNEL_2 = """
[[tunnel]]
name = "to-c"
encapsulation = "gre"
local = "192.0.2.1"
remote = "192.0.2.3"
next_hop = "02:00:00:00:00:03"
"""
RED = """
[[vnet]]
name = "red"
[[vport]]
name = "vm3"
vnet = "red"
"""
TERMINATE = """
[[terminate]]
encapsulation = "gre"
local = "192.0.2.1"
vnet = "blue"
key = 0x123401
"""
FORWARD_2 = """
[[forward]]
vnet = "blue"
mac = "02:aa:00:00:00:01"
to = "drop"
"""


def change(*changes: tuple[str, str], more: str = "") -> str:
    """The configuration with some texts replaced, each the first of its kind, and more behind it."""
    text = CONFIG
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text + more


STT = ('encapsulation = "gre"', 'encapsulation = "stt"')
V6 = (("192.0.2.1", "2001:db8::1"), ("192.0.2.2", "2001:db8::2"))

WRONG: dict[str, tuple[str, str]] = {
    "not TOML": (change(("mtu = 1500", "mtu = ")), r"not TOML: .*\(at line 3, column 7\)"),
    "unknown key": (
        change(("ttl = 64", "tll = 64")),
        r"line \d+: tunnel \"to-b\": tll: unknown key; did you mean 'ttl'\? allowed are name, encapsulation, local, .*",
    ),
    "unknown key with nothing like it": (
        change(("mtu = 1450", "colour = 3")),
        r'line \d+: vport "vm1": colour: unknown key; allowed are name, vnet, mtu, mac, receive_mtu, queues, '
        "bad_checksum, multicast",
    ),
    "unknown table": (
        change(more="\n[[tunnels]]\nname = 'x'\n"),
        r"line \d+: tunnels: unknown key; did you mean 'tunnel'\? allowed are uplink, receive, vnet, vport, tunnel, "
        "forward, terminate",
    ),
    "unknown key before all tables": (
        "colour = 3\n" + CONFIG,
        r"line \d+: colour: unknown key; allowed are uplink, receive, vnet, vport, tunnel, forward, terminate",
    ),
    "missing key": (change(('local = "192.0.2.1"\n', "")), r'line \d+: tunnel "to-b": local: is missing'),
    "missing name": (change(('name = "to-b"\n', "")), r"line \d+: tunnel number 1: name: is missing"),
    "missing table": (
        change(("[uplink]\n", ""), ('mac = "02:00:00:00:00:01"\nmtu = 1500\n', "")),
        "uplink: is missing",
    ),
    "no vport": (re.sub(r"(?s)\[\[vport\]\].*\n(?=\[\[tunnel)", "", CONFIG), r"vport: is missing"),
    "empty list": (
        "vnet = []\n" + change(('[[vnet]]\nname = "blue"\n', "")),
        r"line \d+: vnet: there must be at least one \[\[vnet\]\]",
    ),
    "table where several may be": (
        change(("[[vnet]]", "[vnet]")),
        r"line \d+: vnet: there may be several, so it is written \[\[vnet\]\]",
    ),
    "several where one may be": (change(("[uplink]", "[[uplink]]")), r"line \d+: uplink: must be a table, \[uplink\]"),
    "number in quotes": (change(("ttl = 64", 'ttl = "64"')), r"line \d+: .*ttl: '64' is not a whole number"),
    "fraction": (change(("mtu = 1500", "mtu = 1500.5")), r"line \d+: uplink: mtu: 1500\.5 is not a whole number"),
    "not true or false": (change(("df = true", "df = 1")), r"line \d+: .*df: 1 is neither true nor false"),
    "ttl": (change(("ttl = 64", "ttl = 256")), r'line \d+: tunnel "to-b": ttl: 256 is not 1 to 255'),
    "uplink mtu": (change(("mtu = 1500", "mtu = 9217")), r"line \d+: uplink: mtu: 9217 is not 68 to 9216"),
    "vport mtu": (change(("mtu = 1450", "mtu = 0")), r'line \d+: vport "vm1": mtu: 0 is not 68 to 65535'),
    "vlan": (change(("vlan = 100", "vlan = 4095")), r"line \d+: .*vlan: 4095 is not 1 to 4094"),
    "vlan 0": (change(("vlan = 100", "vlan = 0")), r"line \d+: .*vlan: 0 is not 1 to 4094"),
    "encapsulation": (
        change(('"gre"', '"ipip"')),
        r"line \d+: .*encapsulation: 'ipip' is none of 'gre', 'nvgre', 'vxlan', 'geneve', 'stt'",
    ),
    "stt mode": (change(('"frame"', '"whole"')), r"line \d+: .*stt_mode: 'whole' is none of 'frame', 'segment'"),
    "duplicate vnet": (
        change(more="\n[[vnet]]\nname = 'blue'\n"),
        r"line \d+: vnet \"blue\": name: 'blue' is taken by another vnet",
    ),
    "duplicate vport": (change(('"vm2"', '"vm1"')), r"line \d+: vport \"vm1\": name: 'vm1' is taken by another vport"),
    "duplicate tunnel": (
        change(more=TUNNEL_2.replace("to-c", "to-b")),
        r"line \d+: tunnel \"to-b\": name: 'to-b' is taken by another tunnel",
    ),
    "bad name": (
        change(('"vm1"', '"vm 1"')),
        r"line \d+: .*name: 'vm 1' is no name; use letters, digits, '-', '_' and '\.'",
    ),
    "unknown vnet of a vport": (
        change(('vnet = "blue"', 'vnet = "red"')),
        r"line \d+: vport \"vm1\": vnet: there is no vnet 'red'; there are 'blue'",
    ),
    "unknown vnet of an entry": (
        change(more=FORWARD_2.replace("blue", "green")),
        r"line \d+: forward number 2: vnet: there is no vnet 'green'; there are 'blue'",
    ),
    "family of addresses": (
        change(("192.0.2.2", "2001:db8::2")),
        r"line \d+: .*remote: 2001:db8::2 is IPv6 but local 192\.0\.2\.1 is IPv4; both must be of one family",
    ),
    "no address": (
        change(("192.0.2.2", "192.0.2.256")),
        r"line \d+: .*remote: '192\.0\.2\.256' is no IPv4 or IPv6 address; write it as .*",
    ),
    "unspecified address": (
        change(("192.0.2.2", "0.0.0.0")),
        r"line \d+: .*remote: '0\.0\.0\.0' is no address that .*",
    ),
    "no MAC": (
        change(("02:00:00:00:00:02", "02:00:00:00:00")),
        r"line \d+: .*next_hop: '02:00:00:00:00' is no MAC address; write it as .*",
    ),
    "group address as the uplink's": (
        change(("02:00:00:00:00:01", "01:00:5e:00:00:01")),
        r"line \d+: uplink: mac: '01:00:5e:00:00:01' is no address of one card; .*",
    ),
    "GRE key": (
        change(("0x123401", "0x100000000")),
        r"line \d+: .*key: 0x100000000 is too large for gre; a GRE key is 0 to 0xffffffff",
    ),
    "negative key": (change(("0x123401", "-1")), r"line \d+: .*key: -1 is not 0 or more"),
    "NVGRE key": (
        change(('"gre"', '"nvgre"'), ("0x123401", "0x100000000")),
        r"line \d+: .*key: 0x100000000 is too large for nvgre; VSID << 8 \| FlowID is 0 to 0xffffffff",
    ),
    "VNI": (
        change(('"gre"', '"vxlan"'), ("0x123401", "0x1000000")),
        r"line \d+: .*key: 0x1000000 is too large for vxlan; a VNI is 0 to 0xffffff",
    ),
    "Geneve VNI": (
        change(('"gre"', '"geneve"'), ("0x123401", "0x1000000")),
        r"line \d+: .*key: 0x1000000 is too large for geneve; a VNI is 0 to 0xffffff",
    ),
    "STT context ID": (
        change(STT, ("0x123401", "0x7fffffffffffffff0")),
        r"line \d+: .*key: 0x7fffffffffffffff0 is too large for stt; a context ID is 0 to 0xffffffffffffffff",
    ),
    "no key": (
        change(('"gre"', '"vxlan"'), ("key = 0x123401\n", "")),
        r"line \d+: .*key: is missing; vxlan needs one: a VNI, 0 to 0xffffff",
    ),
    "checksum of STT": (
        change(STT, ("checksum = false", "checksum = true")),
        r"line \d+: .*checksum: stt has none; only gre and vxlan and geneve can have it",
    ),
    "sequence of VXLAN": (
        change(('"gre"', '"vxlan"'), ("sequence = false", "sequence = true")),
        r"line \d+: .*sequence: vxlan has none; only gre can have it",
    ),
    "options of GRE": (
        change(('options = ""', 'options = "01020300"')),
        r"line \d+: .*options: gre has none; only geneve can have it",
    ),
    "stt_mode of GRE": (change(('"frame"', '"segment"')), r"line \d+: .*stt_mode: gre has none; only stt can have it"),
    "options not hex": (
        change(('options = ""', 'options = "0x01"')),
        r"line \d+: .*options: '0x01' is not hex; write the TLVs as pairs of hex digits",
    ),
    "options of 6 bytes": (
        change(('options = ""', 'options = "010203000000"')),
        r"line \d+: .*options: has 6 bytes; it must be a multiple of 4 and at most 32",
    ),
    "options of 36 bytes": (
        change(('options = ""', f'options = "{"01020300" * 9}"')),
        r"line \d+: .*options: has 36 bytes; it must be a multiple of 4 and at most 32",
    ),
    "options that say too much": (
        change(('options = ""', 'options = "01020300 01020302 00000000"')),
        r"line \d+: .*options: the option at byte 4 says that it takes 12 bytes; there are 8",
    ),
    "dscp": (
        change(('"uniform"', '"pipe:64"')),
        r"line \d+: .*dscp: 'pipe:64' is neither \"uniform\" nor \"pipe:N\" with N from 0 to 63",
    ),
    "dscp as a number": (change(('"uniform"', "46")), r"line \d+: .*dscp: 46 is neither .*"),
    "unknown tunnel": (
        change(('"tunnel:to-b"', '"tunnel:to-x"')),
        r"line \d+: forward number 1: to: there is no tunnel 'to-x'; there are 'to-b'",
    ),
    "unknown vport as a target": (
        change(('"tunnel:to-b"', '"vport:vm3"')),
        r"line \d+: forward number 1: to: vnet 'blue' has no vport 'vm3'; there are 'vm1', 'vm2'",
    ),
    "vport of another vnet as a target": (
        change(('"tunnel:to-b"', '"vport:vm3"'), more=RED),
        r"line \d+: forward number 1: to: vnet 'blue' has no vport 'vm3'; there are 'vm1', 'vm2'",
    ),
    "no vport as a target": (
        change(('"tunnel:to-b"', '"vport:"')),
        r"line \d+: forward number 1: to: 'vport:' is none of \"tunnel:NAME\", \"vport:NAME\", \"uplink\" and \"drop\"",
    ),
    "nonsense as a target": (
        change(('"tunnel:to-b"', '"away"')),
        r"line \d+: .*to: 'away' is none of \"tunnel:NAME\", \"vport:NAME\", \"uplink\" and \"drop\"",
    ),
    "MAC of an entry": (
        change(('mac = "*"', 'mac = "any"')),
        r"line \d+: .*mac: 'any' is no MAC address; write one as .*, or \"\*\" for any other",
    ),
    "duplicate wildcard": (
        change(more=FORWARD_2.replace("02:aa:00:00:00:01", "*")),
        r"line \d+: forward number 2: mac: vnet 'blue' has an entry for '\*' already",
    ),
    "duplicate entry": (
        change(more=FORWARD_2 + FORWARD_2.replace("02:aa", "02:AA")),
        r"line \d+: forward number 3: mac: vnet 'blue' has an entry for '02:aa:00:00:00:01' already",
    ),
    "group as source": (
        change(("192.0.2.1", "239.0.0.1")),
        r"line \d+: tunnel \"to-b\": local: 239.0.0.1 is a group; packets come from one address",
    ),
    "one run of sequence numbers for two tunnels": (
        change(
            ("sequence = false", "sequence = true"),
            more=TUNNEL_2.replace("192.0.2.3", "192.0.2.2") + "key = 0x123401\nsequence = true\n",
        ),
        r"line \d+: tunnel \"to-c\": key: another tunnel with sequence numbers has the same local, remote and key; "
        "one must differ",
    ),
    "MTU too small": (
        change(("mtu = 1500", "mtu = 575")),
        r"line \d+: uplink: mtu: 575 is too small for tunnel 'to-b': gre over IPv4 needs 576 to 9216",
    ),
    "MTU too small over IPv6": (
        change(*V6, ("mtu = 1500", "mtu = 1279")),
        r"line \d+: uplink: mtu: 1279 is too small for tunnel 'to-b': gre over IPv6 needs 1280 to 9216",
    ),
    "MTU too small for STT frames": (
        change(STT, ("mtu = 1500", "mtu = 639")),
        r"line \d+: uplink: mtu: 639 is too small for tunnel 'to-b': stt in frame mode over IPv4 needs 640 to 9216",
    ),
    "too many profiles": (
        change(
            more="".join(
                TUNNEL_2.replace("to-c", f"t{ttl}").replace("192.0.2.3", f"192.0.2.{ttl}") + f"ttl = {ttl}\n"
                for ttl in range(10, 26)
            )
        ),
        r"\[\[tunnel\]\]: the tunnels need 17 profiles; the card has 16\. Tunnels share one if .*",
    ),
    "too many tunnels": (
        change(more="".join(TUNNEL_2.replace("to-c", f"t{n}") + f"key = {n}\n" for n in range(64))),
        r"line \d+: tunnel: there are 65; the card has room for 64",
    ),
    "too many exact forwarding entries": (
        change(
            more="".join(
                f'[[forward]]\nvnet = "blue"\nmac = "02:00:00:00:01:{n:02x}"\nto = "uplink"\n' for n in range(65)
            )
        ),
        r"\[\[forward\]\]: 65 exact forwarding entries; the card has room for 64",
    ),
    "vport's address": (
        change(('name = "vm1"', 'name = "vm1"\nmac = "03:00:00:00:00:01"')),
        r"line \d+: vport \"vm1\": mac: '03:00:00:00:00:01' is no address of one card; .*",
    ),
    "one address for two vports": (
        change(*((f'name = "{vm}"', f'name = "{vm}"\nmac = "02:aa:00:00:00:01"') for vm in ("vm1", "vm2"))),
        r"line \d+: vport \"vm2\": mac: '02:aa:00:00:00:01' is that of another vport of vnet 'blue'",
    ),
    "receive_mtu": (
        change(("mtu = 1450", "receive_mtu = 65536")),
        r'line \d+: vport "vm1": receive_mtu: 65536 is not 68 to 65535',
    ),
    "queues": (change(("mtu = 1450", "queues = 17")), r'line \d+: vport "vm1": queues: 17 is not 1 to 16'),
    "no contexts": (
        change(more="\n[receive]\nvnet_contexts = 0\n"),
        r"line \d+: receive: vnet_contexts: 0 is not 1 to 256",
    ),
    "bad_checksum": (
        change(("mtu = 1450", "bad_checksum = true")),
        r"line \d+: vport \"vm1\": bad_checksum: True is none of 'deliver', 'drop'",
    ),
    "multicast": (
        change(("mtu = 1450", 'multicast = "yes"')),
        r"line \d+: vport \"vm1\": multicast: 'yes' is neither true nor false",
    ),
    "unknown_unicast": (
        change(('name = "blue"', 'name = "blue"\nunknown_unicast = "host"')),
        r"line \d+: vnet \"blue\": unknown_unicast: 'host' is none of 'drop', 'flood', 'slow_path'",
    ),
    "unknown_unicast to nobody": (
        change(('name = "blue"', 'name = "blue"\nunknown_unicast = "slow_path"')),
        r"line \d+: vnet \"blue\": unknown_unicast: 'slow_path' needs a vport to take it: slow_path in \[uplink\]",
    ),
    "slow path": (
        change(("mtu = 1500", 'slow_path = "host"')),
        r"line \d+: uplink: slow_path: there is no vport 'host'; there are 'vm1', 'vm2'",
    ),
    "vnet of the uplink": (
        change(("mtu = 1500", 'vnet = "red"')),
        r"line \d+: uplink: vnet: there is no vnet 'red'; there are 'blue'",
    ),
    "VLAN of the uplink": (
        change(("mtu = 1500", 'vlans = [{ id = 5, vnet = "blue" }, { id = 4095, vnet = "blue" }]')),
        r"line \d+: uplink: vlans: number 2: id: 4095 is not 1 to 4094",
    ),
    "vnet of a VLAN": (
        change(("mtu = 1500", 'vlans = [\n{ id = 5, vnet = "blue" },\n{ id = 6, vnet = "red" },\n]')),
        r"line \d+: uplink: vlans: number 2: vnet: there is no vnet 'red'; there are 'blue'",
    ),
    "VLAN without a vnet": (
        change(("mtu = 1500", "vlans = [{ id = 5 }]")),
        r"line \d+: uplink: vlans: number 1: vnet: is missing",
    ),
    "VLAN with more": (
        change(("mtu = 1500", 'vlans = [{ id = 5, vmet = "blue" }]')),
        r"line \d+: uplink: vlans: number 1: vmet: unknown key; did you mean 'vnet'\? allowed are id, vnet",
    ),
    "the same VLAN twice": (
        change(("mtu = 1500", 'vlans = [{ id = 5, vnet = "blue" }, { id = 5, vnet = "blue" }]')),
        r"line \d+: uplink: vlans: number 2: id: VLAN 5 has a vnet already",
    ),
    "VLANs as numbers": (
        change(("mtu = 1500", "vlans = [5, 6]")),
        r"line \d+: uplink: vlans: number 1: 5 is no table; write \{ \.\.\. \}",
    ),
    "VLANs as a table": (
        change(("mtu = 1500", "vlans = 5")),
        r"line \d+: uplink: vlans: 5 is no list; there may be several, in \[ \]",
    ),
    "known Geneve options": (
        change(("mtu = 1500", 'geneve_options = ["0102:80", "0102"]')),
        r"line \d+: uplink: geneve_options: number 2: '0102' is no Geneve option; write class and type in hex, as .*",
    ),
    "too many known Geneve options": (
        change(("mtu = 1500", f"geneve_options = [{', '.join(f'{chr(34)}1:8{n}{chr(34)}' for n in range(5))}]")),
        r"line \d+: uplink: geneve_options: there are 5; the card has room for 4",
    ),
    "termination without an address": (
        change(more=TERMINATE.replace('local = "192.0.2.1"\n', "")),
        r"line \d+: terminate number 1: local: is missing",
    ),
    "termination at a group": (
        change(more=TERMINATE.replace("192.0.2.1", "ff02::1")),
        r"line \d+: terminate number 1: local: ff02::1 is a group; packets come from one address",
    ),
    "unknown vnet of a termination": (
        change(more=TERMINATE.replace("blue", "red")),
        r"line \d+: terminate number 1: vnet: there is no vnet 'red'; there are 'blue'",
    ),
    "family of a termination": (
        change(more=TERMINATE + 'remote = "2001:db8::2"\n'),
        r"line \d+: terminate number 1: remote: 2001:db8::2 is IPv6 but local 192\.0\.2\.1 is IPv4; both must .*",
    ),
    "key of a termination": (
        change(more=TERMINATE.replace('"gre"', '"vxlan"').replace("0x123401", "0x1000000")),
        r"line \d+: terminate number 1: key: 0x1000000 is too large for vxlan; a VNI is 0 to 0xffffff",
    ),
    "termination without a key": (
        change(more=TERMINATE.replace('"gre"', '"stt"').replace("key = 0x123401\n", "")),
        r"line \d+: terminate number 1: key: is missing; stt needs one: a context ID, 0 to 0xf{16}",
    ),
    "UDP checksum of GRE": (
        change(more=TERMINATE + 'udp_checksum = "required"\n'),
        r"line \d+: terminate number 1: udp_checksum: gre has none; only vxlan and geneve can have it",
    ),
    "udp_checksum": (
        change(more=TERMINATE + "udp_checksum = true\n"),
        r"line \d+: terminate number 1: udp_checksum: True is none of 'optional', 'required'",
    ),
    "dscp of a termination": (
        change(more=TERMINATE + 'dscp = "pipe:46"\n'),
        r"line \d+: terminate number 1: dscp: 'pipe:46' is none of 'pipe', 'uniform'",
    ),
    "the same termination twice": (
        change(more=TERMINATE + TERMINATE + 'remote = "192.0.2.2"\n'),
        r"line \d+: terminate number 2: key: gre at 192\.0\.2\.1 with key 0x123401 is in another entry already",
    ),
    "the same VSID twice": (
        change(more=(TERMINATE + TERMINATE.replace("123401", "123402")).replace("gre", "nvgre")),
        r"line \d+: terminate number 2: key: nvgre at 192\.0\.2\.1 with key 0x123402 is in another entry already",
    ),
    "GRE with a key beside NVGRE": (
        change(more=TERMINATE + TERMINATE.replace("gre", "nvgre")),
        r"line \d+: terminate number 2: encapsulation: gre with a key ends at 192\.0\.2\.1 too, and .*",
    ),
    "too many local addresses": (
        change(more="".join(TERMINATE.replace("192.0.2.1", f"192.0.2.{n}") for n in range(1, 18))),
        r"line \d+: terminate number 17: local: 192\.0\.2\.17 is one too many; tunnels may end at 16 addresses",
    ),
    "too many terminations": (
        change(more="".join(TERMINATE.replace("0x123401", str(n)) for n in range(65))),
        r"line \d+: terminate: there are 65; the card has room for 64",
    ),
    "digits of another script": (
        change(more=TUNNEL_2 + 'dscp = "pipe:\u0664"\n'),
        r"line \d+: tunnel \"to-c\": dscp: 'pipe:\u0664' is neither .*",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_line_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    text, message = WRONG[name]
    path = tmp_path / "net.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load(path)
    said = str(caught.value)
    assert "\n" not in said
    assert re.fullmatch(re.escape(f"{path}: ") + message + r"( \(and \d+ more\))?", said), said


def test_the_line_it_names_is_the_one(tmp_path: Path) -> None:
    """The line that is named holds the key, or is its table's first where there is no such key."""
    for name, (text, _) in WRONG.items():
        with pytest.raises(ValueError) as caught:
            parse(text)
        named = re.match(r"line (\d+): (.*)", str(caught.value))
        if named:
            line, keys = text.splitlines()[int(named[1]) - 1], named[2].split(": ")[:2]
            assert line.startswith("[") or any(line.startswith(key) for key in keys), (name, line, named[2])


def test_the_line_is_that_of_the_second_of_two() -> None:
    text = change(more=TUNNEL_2.replace("to-c", "to-b"))
    (wanted,) = [at for at, line in enumerate(text.splitlines(), 1) if line == 'name = "to-b"'][1:]
    with pytest.raises(ValueError, match=f'^line {wanted}: tunnel "to-b": name:'):
        parse(text)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"net\.toml: no such file"):
        load(tmp_path / "net.toml")


def test_no_text(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file in UTF-8"):
        load(path)
    with pytest.raises(UserError, match="Is a directory"):
        load(tmp_path)


def test_what_it_means_to_model_and_driver() -> None:
    config = parse(change(('"uniform"', '"pipe:46"'), more=TUNNEL_2 + FORWARD_2))
    for network in (config.model_network(), config.driver_network()):
        assert (network.mac, network.mtu) == (bytes.fromhex("020000000001"), 1500)
        assert network.vports == {0: 0, 1: 0}
        assert network.forwarding == {(0, None): 0, (0, bytes.fromhex("02aa00000001")): "drop"}
        first, second = network.tunnels
        assert (first.encapsulation, first.key, first.vlan, first.dscp) == ("gre", 0x123401, 100, 46)
        assert (first.local, first.remote) == (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
        assert (second.key, second.vlan, second.dscp, second.df, second.ttl) == (None, None, None, True, 64)


@pytest.mark.parametrize(
    ("encapsulation", "ends", "written", "meant"),
    [
        ("vxlan", (), None, False),
        ("vxlan", V6, None, True),
        ("geneve", V6, None, True),
        ("vxlan", V6, False, False),
        ("vxlan", (), True, True),
        ("gre", V6, None, False),
    ],
)
def test_default_of_the_checksum(
    encapsulation: str, ends: tuple[tuple[str, str], ...], written: bool | None, meant: bool
) -> None:
    """On over IPv6 for UDP (RFC 8200), else off; what is written wins."""
    line = "" if written is None else f"checksum = {str(written).lower()}\n"
    config = parse(change(('"gre"', f'"{encapsulation}"'), ("checksum = false\n", line), *ends))
    assert config.driver_network().tunnels[0].checksum is meant
    assert config.model_network().tunnels[0].has_checksum is meant


def test_tunnels_may_differ_in_anything() -> None:
    """The same ends and key in two encapsulations' settings: one for each kind of traffic."""
    other = TUNNEL_2.replace("192.0.2.3", "192.0.2.2") + "key = 0x123401\ndscp = 'pipe:46'\n"
    assert [tunnel.dscp for tunnel in parse(CONFIG + other).tunnel] == [None, 46]


def test_geneve_options_and_ipv6() -> None:
    config = parse(change(('"gre"', '"geneve"'), ('options = ""', 'options = "0102 8001 deadbeef"'), *V6))
    tunnel = config.driver_network().tunnels[0]
    assert (tunnel.options.hex(), tunnel.remote) == ("01028001deadbeef", IPv6Address("2001:db8::2"))


def test_examples_in_the_guide_are_good() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    send, receive = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert parse(send).model_network().tunnels
    assert parse(receive).receive_settings().terminate.terminate


RECEIVE = """\
[uplink]
mac = "02:00:00:00:00:01"
vnet = "red"
vlans = [{ id = 5, vnet = "blue" }, { id = 6, vnet = "red" }]
slow_path = "host"
geneve_options = ["0102:80", "ffff:1"]
[receive]
vnet_contexts = 16
class_contexts = 8
[[vnet]]
name = "blue"
unknown_unicast = "flood"
[[vnet]]
name = "red"
unknown_unicast = "slow_path"
[[vport]]
name = "vm1"
vnet = "blue"
mac = "02:aa:00:00:00:01"
receive_mtu = 1500
queues = 3
bad_checksum = "drop"
multicast = false
[[vport]]
name = "host"
vnet = "red"
[[vport]]
name = "vm2"
vnet = "red"
mac = "02:aa:00:00:00:01"
[[terminate]]
encapsulation = "vxlan"
local = "2001:db8::1"
remote = "2001:db8::2"
key = 0x1234
vnet = "red"
udp_checksum = "optional"
dscp = "uniform"
[[terminate]]
encapsulation = "gre"
local = "192.0.2.1"
vnet = "blue"
[[forward]]
vnet = "red"
mac = "02:aa:00:00:00:01"
to = "vport:vm2"
"""


def test_what_receive_means_to_the_model() -> None:
    config = parse(RECEIVE)
    settings = config.receive_settings()
    terminate, steer = settings.terminate, settings.steer
    vxlan, gre = terminate.terminate
    assert (vxlan.encapsulation, vxlan.local, vxlan.remote) == (
        "vxlan",
        *map(IPv6Address, ("2001:db8::1", "2001:db8::2")),
    )
    assert (vxlan.key, vxlan.vnet, vxlan.udp_checksum, vxlan.dscp) == (0x1234, 1, "optional", "uniform")
    assert (gre.encapsulation, gre.local, gre.vnet, gre.key, gre.remote) == (
        "gre",
        IPv4Address("192.0.2.1"),
        0,
        None,
        None,
    )
    assert (gre.udp_checksum, gre.dscp) == (None, "pipe")
    assert terminate.uplink == {None: 1, 5: 0, 6: 1} and terminate.slow_path
    assert terminate.options == {(0x0102, 0x80), (0xFFFF, 0x01)}
    first, host, second = (steer.vports[number] for number in range(3))
    assert (first.vnet, first.mac, first.receive_mtu, first.queues) == (0, bytes.fromhex("02aa00000001"), 1500, 3)
    assert (first.drop_bad_checksum, first.multicast, set(first.indirection)) == (True, False, {0, 1, 2})
    assert (host.mac, host.receive_mtu, host.queues, host.drop_bad_checksum, host.multicast) == (
        None,
        65535,
        1,
        False,
        True,
    )
    assert (second.vnet, second.mac) == (1, first.mac), "in another vnet"
    assert (steer.unknown_unicast, steer.slow_path) == ({0: "flood", 1: "slow_path"}, 1)
    assert (settings.coalesce.contexts, settings.coalesce.idle, terminate.contexts) == (64, 200_000, 64)
    assert config.receive_settings("100g").terminate.contexts == 256
    assert (settings.coalesce.vnet_contexts, terminate.class_contexts) == (16, 8)


def test_more_contexts_than_there_are() -> None:
    config = parse(RECEIVE.replace("vnet_contexts = 16", "vnet_contexts = 65"))
    assert config.driver_receive("100g").vnet_contexts == 65
    with pytest.raises(UserError, match=r"\[receive\] vnet_contexts: 65 is too many; preset 10g has 64 contexts"):
        config.driver_receive("10g")


def test_nothing_is_received_where_nothing_is_said() -> None:
    settings = parse(CONFIG).receive_settings()
    assert (settings.terminate.terminate, settings.terminate.uplink, settings.steer.slow_path) == ([], {}, None)
    assert settings.steer.unknown_unicast == {0: "drop"}


def test_another_vport_as_a_target() -> None:
    config = parse(RECEIVE)
    assert config.model_network().forwarding == {(1, bytes.fromhex("02aa00000001")): ToVport(2)}
    assert config.driver_network().forwarding == {(1, bytes.fromhex("02aa00000001")): driver.network.ToVport(2)}
