"""The configuration file: what it means, and one clear line for everything that is wrong with it."""

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from host.config import load, parse
from host.errors import UserError
from tests.host.conftest import CONFIG

TUNNEL_2 = """
[[tunnel]]
name = "to-c"
encapsulation = "gre"
local = "192.0.2.1"
remote = "192.0.2.3"
next_hop = "02:00:00:00:00:03"
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
        r'line \d+: vport "vm1": colour: unknown key; allowed are name, vnet, mtu',
    ),
    "unknown table": (
        change(more="\n[[tunnels]]\nname = 'x'\n"),
        r"line \d+: tunnels: unknown key; did you mean 'tunnel'\? allowed are uplink, vnet, vport, tunnel, forward",
    ),
    "unknown key before all tables": (
        "colour = 3\n" + CONFIG,
        r"line \d+: colour: unknown key; allowed are uplink, vnet, vport, tunnel, forward",
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
    "vport as a target": (
        change(('"tunnel:to-b"', '"vport:vm2"')),
        r"line \d+: .*to: 'vport:vm2' comes with receive; today it is \"tunnel:NAME\", \"uplink\" or \"drop\"",
    ),
    "nonsense as a target": (
        change(('"tunnel:to-b"', '"away"')),
        r"line \d+: .*to: 'away' is none of \"tunnel:NAME\", \"uplink\" and \"drop\"",
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


def test_example_in_the_guide_is_good() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert parse(example).model_network().tunnels
