"""The configuration file: TOML, checked before anything runs.

Every error is one line that names the file, the line where it is known, the table and the key, and what is allowed.
"""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import driver.network
import sim.model.network
from driver.cuckoo import NoRoom
from driver.network import KEY_BITS
from driver.tables import TooMany, writes
from hdl.registers import tables
from host.config_errors import ConfigError, explain
from host.config_types import Address, Dscp, ForwardMac, MacAddress, Name, Options, Target, UnicastMac
from host.errors import UserError

KEY_NAMES = {
    "gre": "a GRE key",
    "nvgre": "VSID << 8 | FlowID",
    "vxlan": "a VNI",
    "geneve": "a VNI",
    "stt": "a context ID",
}
LARGEST_MTU = 9216
SMALLEST_MTU = {4: 576, 6: 1280}  # RFC 791, RFC 8200
SMALLEST_STT_FRAME_MTU = 640  # every fragment but the last must carry more than the inner headers


class Table(BaseModel):
    """A table of the file: no unknown keys, and no number where a text belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class Uplink(Table):
    mac: UnicastMac
    mtu: int = Field(default=1500, ge=68, le=LARGEST_MTU)


class Vnet(Table):
    name: Name


class Vport(Table):
    name: Name
    vnet: Name
    mtu: int | None = Field(default=None, ge=68, le=65535)


class Tunnel(Table):
    """One remote endpoint. See `driver.network.Tunnel` for what the values mean."""

    name: Name
    encapsulation: driver.network.Encapsulation
    local: Address
    remote: Address
    next_hop: MacAddress
    vlan: int | None = Field(default=None, ge=1, le=4094)
    key: int | None = Field(default=None, ge=0)
    checksum: bool | None = None
    sequence: bool = False
    options: Options = b""
    df: bool = True
    ttl: int = Field(default=64, ge=1, le=255)
    dscp: Dscp = None
    stt_mode: driver.network.SttMode = "frame"

    @model_validator(mode="after")
    def check_addresses(self) -> Self:
        if self.local.is_multicast:
            raise ConfigError("local", f"{self.local} is a group; packets come from one address")
        if self.local.version != self.remote.version:
            raise ConfigError(
                "remote",
                f"{self.remote} is IPv{self.remote.version} but local {self.local} is IPv{self.local.version}; "
                "both must be of one family",
            )
        return self

    @model_validator(mode="after")
    def check_key(self) -> Self:
        kind, bits = self.encapsulation, KEY_BITS[self.encapsulation]
        if self.key is None and kind != "gre":
            raise ConfigError("key", f"is missing; {kind} needs one: {KEY_NAMES[kind]}, 0 to {(1 << bits) - 1:#x}")
        if self.key is not None and self.key >> bits:
            raise ConfigError(
                "key", f"{self.key:#x} is too large for {kind}; {KEY_NAMES[kind]} is 0 to {(1 << bits) - 1:#x}"
            )
        return self

    @model_validator(mode="after")
    def check_what_it_has(self) -> Self:
        """Keys that this encapsulation has no place for may only have the value that means no."""
        for key, given, kinds in (
            ("checksum", self.checksum, ("gre", "vxlan", "geneve")),
            ("sequence", self.sequence, ("gre",)),
            ("options", self.options, ("geneve",)),
            ("stt_mode", self.stt_mode != "frame", ("stt",)),
        ):
            if given and self.encapsulation not in kinds:
                raise ConfigError(key, f"{self.encapsulation} has none; only {' and '.join(kinds)} can have it")
        return self

    @property
    def has_checksum(self) -> bool:
        """GRE's C bit or an outer UDP checksum, on over IPv6 unless the file says otherwise (RFC 8200)."""
        if self.checksum is None:
            return self.encapsulation in ("vxlan", "geneve") and self.local.version == 6
        return self.checksum

    @property
    def smallest_mtu(self) -> int:
        smallest = SMALLEST_MTU[self.local.version]
        stt_frame = self.encapsulation == "stt" and self.stt_mode == "frame"
        return max(smallest, SMALLEST_STT_FRAME_MTU) if stt_frame else smallest


class Forward(Table):
    vnet: Name
    mac: ForwardMac
    to: Target


class Config(Table):
    """A whole file, checked; vnets, vports and tunnels are numbered in the order in which they stand there."""

    uplink: Uplink
    vnet: list[Vnet] = Field(min_length=1, max_length=tables.VNETS)
    vport: list[Vport] = Field(min_length=1, max_length=tables.VPORTS)
    tunnel: list[Tunnel] = Field(default=[], max_length=tables.TUNNELS)
    forward: list[Forward] = Field(default=[])

    @model_validator(mode="after")
    def check_names(self) -> Self:
        names = {
            "vnet": [vnet.name for vnet in self.vnet],
            "vport": [vport.name for vport in self.vport],
            "tunnel": [tunnel.name for tunnel in self.tunnel],
        }
        for table, used in names.items():
            index = first_repeated(used)
            if index is not None:
                raise ConfigError("name", f"{used[index]!r} is taken by another {table}", (table, index))
        return self

    @model_validator(mode="after")
    def check_vnets(self) -> Self:
        vnets = [vnet.name for vnet in self.vnet]
        using = {"vport": [vport.vnet for vport in self.vport], "forward": [entry.vnet for entry in self.forward]}
        for table, used in using.items():
            for index, name in enumerate(used):
                if name not in vnets:
                    raise ConfigError("vnet", f"there is no vnet {name!r}; {known(vnets)}", (table, index))
        return self

    @model_validator(mode="after")
    def check_forwarding(self) -> Self:
        tunnels = [tunnel.name for tunnel in self.tunnel]
        for index, entry in enumerate(self.forward):
            kind, name = entry.to
            if kind == "tunnel" and name not in tunnels:
                raise ConfigError("to", f"there is no tunnel {name!r}; {known(tunnels)}", ("forward", index))
        repeated = first_repeated((entry.vnet, entry.mac) for entry in self.forward)
        if repeated is not None:
            entry = self.forward[repeated]
            mac = "*" if entry.mac is None else entry.mac.hex(":")
            raise ConfigError("mac", f"vnet {entry.vnet!r} has an entry for {mac!r} already", ("forward", repeated))
        return self

    @model_validator(mode="after")
    def check_tunnels(self) -> Self:
        flows = [  # RFC 2890: a receiver has one run of sequence numbers for these
            (tunnel.local, tunnel.remote, tunnel.key) if tunnel.sequence else tunnel.name for tunnel in self.tunnel
        ]
        index = first_repeated(flows)
        if index is not None:
            raise ConfigError(
                "key",
                "another tunnel with sequence numbers has the same local, remote and key; one must differ",
                ("tunnel", index),
            )
        for tunnel in self.tunnel:
            if self.uplink.mtu < tunnel.smallest_mtu:
                mode = f" in {tunnel.stt_mode} mode" if tunnel.encapsulation == "stt" else ""
                raise ConfigError(
                    "mtu",
                    f"{self.uplink.mtu} is too small for tunnel {tunnel.name!r}: {tunnel.encapsulation}{mode} over "
                    f"IPv{tunnel.local.version} needs {tunnel.smallest_mtu} to {LARGEST_MTU}",
                    ("uplink",),
                )
        return self

    def vport_index(self, name: str | None) -> int:
        """The number of a vport; None is the first. Raises ValueError for an unknown name."""
        names = [vport.name for vport in self.vport]
        if name is None:
            return 0
        if name not in names:
            raise ValueError(f"there is no vport {name!r}; {known(names)}")
        return names.index(name)

    def driver_network(self) -> driver.network.Network:
        """What the driver writes into a card."""
        return driver.network.Network(
            mac=self.uplink.mac,
            mtu=self.uplink.mtu,
            vports=self.vports(),
            forwarding=self.forwarding(),
            tunnels=[driver.network.Tunnel(mtu=self.uplink.mtu, **tunnel_values(tunnel)) for tunnel in self.tunnel],
        )

    def model_network(self) -> sim.model.network.Network:
        """The same for the reference model."""
        return sim.model.network.Network(
            mac=self.uplink.mac,
            mtu=self.uplink.mtu,
            vports=self.vports(),
            forwarding=self.forwarding(),
            tunnels=[sim.model.network.Tunnel(**tunnel_values(tunnel)) for tunnel in self.tunnel],
        )

    def vports(self) -> dict[int, int]:
        vnets = [vnet.name for vnet in self.vnet]
        return {index: vnets.index(vport.vnet) for index, vport in enumerate(self.vport)}

    def forwarding(self) -> dict[tuple[int, bytes | None], driver.network.Destination]:
        vnets = [vnet.name for vnet in self.vnet]
        tunnels = [tunnel.name for tunnel in self.tunnel]
        return {
            (vnets.index(entry.vnet), entry.mac): tunnels.index(name) if kind == "tunnel" else kind
            for entry in self.forward
            for kind, name in [entry.to]
        }


def tunnel_values(tunnel: Tunnel) -> dict[str, Any]:
    """What the driver and the model call alike."""
    values = {name: getattr(tunnel, name) for name in Tunnel.model_fields if name != "name"}
    return {**values, "checksum": tunnel.has_checksum}


def first_repeated(values: Iterable[object]) -> int | None:
    """Index of the first value that was there before."""
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            return index
        seen.add(value)
    return None


def known(names: list[str]) -> str:
    return f"there are {', '.join(map(repr, names))}" if names else "there are none"


MODELS: dict[str, type[BaseModel]] = {
    "uplink": Uplink,
    "vnet": Vnet,
    "vport": Vport,
    "tunnel": Tunnel,
    "forward": Forward,
}


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises UserError with one line that says what is wrong where."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def parse(source: str) -> Config:
    """Check the text of a configuration. Raises ValueError with one line; further errors are only counted."""
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        first, *others = sorted(
            error.errors(), key=lambda one: one["type"] != "extra_forbidden"
        )  # most often the cause
        more = f" (and {len(others)} more)" if others else ""
        raise ValueError(explain(first, data, source, MODELS) + more) from None
    try:
        writes(config.driver_network(), width=8)
    except TooMany as error:
        raise ValueError(f"[[{error.what}]]: {error}") from None
    except NoRoom as error:
        raise ValueError(f"[[forward]]: {error}") from None
    return config
