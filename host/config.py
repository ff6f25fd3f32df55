"""The configuration file: TOML, checked before anything runs.

Every error is one line that names the file, the line where it is known, the table and the key, and what is allowed.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import driver.network
import driver.receive
import sim.model.network
from driver.cuckoo import NoRoom
from driver.network import KEY_BITS
from driver.tables import TooMany, writes
from hdl.registers import tables
from host.config_errors import ConfigError, Location, explain
from host.config_types import Address, Dscp, ForwardMac, KnownOption, MacAddress, Name, Options, Target, UnicastMac
from host.errors import UserError
from sim.model.coalesce.coalescer import PRESETS
from sim.model.network import ToVport
from sim.model.receive import terminate as model
from sim.model.receive.card import ReceiveSettings
from sim.model.receive.steer import MOST_QUEUES, Steering
from sim.model.receive.steer import Vport as SteeredVport

KEY_NAMES = {
    "gre": "a GRE key",
    "nvgre": "VSID << 8 | FlowID",
    "vxlan": "a VNI",
    "geneve": "a VNI",
    "stt": "a context ID",
}
LARGEST_MTU = 9216
MOST_CONTEXTS = max(limits.contexts for limits in PRESETS.values())
SMALLEST_MTU = {4: 576, 6: 1280}  # RFC 791, RFC 8200
SMALLEST_STT_FRAME_MTU = 640  # every fragment but the last must carry more than the inner headers


class Table(BaseModel):
    """A table of the file: no unknown keys, and no number where a text belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class Vlan(Table):
    """Untunnelled packets with this outermost tag are frames of a vnet."""

    id: int = Field(ge=1, le=4094)
    vnet: Name


class Uplink(Table):
    """`vnet`: of untunnelled packets without a tag, or with one that is not in `vlans`; None: they are not received."""

    mac: UnicastMac
    mtu: int = Field(default=1500, ge=68, le=LARGEST_MTU)
    vnet: Name | None = None
    vlans: list[Vlan] = Field(default=[])
    slow_path: Name | None = None
    geneve_options: list[KnownOption] = Field(default=[], max_length=model.MOST_OPTIONS)


class Receive(Table):
    """How many frames may be open at once, each in a host buffer of 64 KB; None: as many as the card can have.

    `vnet_contexts`: of one vnet, being merged; `class_contexts`: STT frames of one class of outer sources (None: three
    quarters, once all are in use).
    """

    vnet_contexts: int | None = Field(default=None, ge=1, le=MOST_CONTEXTS)
    class_contexts: int | None = Field(default=None, ge=1, le=MOST_CONTEXTS)


class Vnet(Table):
    name: Name
    unknown_unicast: Literal["drop", "flood", "slow_path"] = "drop"


class Vport(Table):
    """`mtu` is that of the guest, for what it sends; `receive_mtu` is what it takes at once."""

    name: Name
    vnet: Name
    mtu: int | None = Field(default=None, ge=68, le=65535)
    mac: UnicastMac | None = None
    receive_mtu: int = Field(default=65535, ge=68, le=65535)
    queues: int = Field(default=1, ge=1, le=MOST_QUEUES)
    bad_checksum: Literal["deliver", "drop"] = "deliver"
    multicast: bool = True


def check_local(local: Address) -> None:
    if local.is_multicast:
        raise ConfigError("local", f"{local} is a group; packets come from one address")


def check_family(local: Address, remote: Address) -> None:
    if local.version != remote.version:
        raise ConfigError(
            "remote",
            f"{remote} is IPv{remote.version} but local {local} is IPv{local.version}; both must be of one family",
        )


def check_key_of(kind: driver.network.Encapsulation, key: int | None) -> None:
    bits = KEY_BITS[kind]
    if key is None and kind != "gre":
        raise ConfigError("key", f"is missing; {kind} needs one: {KEY_NAMES[kind]}, 0 to {(1 << bits) - 1:#x}")
    if key is not None and key >> bits:
        raise ConfigError("key", f"{key:#x} is too large for {kind}; {KEY_NAMES[kind]} is 0 to {(1 << bits) - 1:#x}")


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
        check_local(self.local)
        check_family(self.local, self.remote)
        return self

    @model_validator(mode="after")
    def check_key(self) -> Self:
        check_key_of(self.encapsulation, self.key)
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


class Terminate(Table):
    """Tunnel packets that are ours, and their vnet. See `sim.model.receive.terminate` for what the values mean."""

    encapsulation: driver.network.Encapsulation
    local: Address
    vnet: Name
    remote: Address | None = None
    key: int | None = Field(default=None, ge=0)
    udp_checksum: Literal["optional", "required"] | None = None
    dscp: Literal["pipe", "uniform"] = "pipe"

    @model_validator(mode="after")
    def check_all(self) -> Self:
        check_local(self.local)
        if self.remote is not None:
            check_family(self.local, self.remote)
        check_key_of(self.encapsulation, self.key)
        if self.udp_checksum is not None and self.encapsulation not in ("vxlan", "geneve"):
            raise ConfigError("udp_checksum", f"{self.encapsulation} has none; only vxlan and geneve can have it")
        return self

    @property
    def ends(self) -> tuple[object, ...]:
        """What no other entry may have: of NVGRE's key only the VSID counts."""
        key = self.key >> 8 if self.encapsulation == "nvgre" and self.key is not None else self.key
        return self.encapsulation, self.local, key

    @property
    def shown(self) -> str:
        key = "no key" if self.key is None else f"key {self.key:#x}"
        return f"{self.encapsulation} at {self.local} with {key}"


class Forward(Table):
    vnet: Name
    mac: ForwardMac
    to: Target


class Config(Table):
    """A whole file, checked; vnets, vports and tunnels are numbered in the order in which they stand there."""

    uplink: Uplink
    receive: Receive = Receive()
    vnet: list[Vnet] = Field(min_length=1, max_length=tables.VNETS)
    vport: list[Vport] = Field(min_length=1, max_length=tables.VPORTS)
    tunnel: list[Tunnel] = Field(default=[], max_length=tables.TUNNELS)
    forward: list[Forward] = Field(default=[])
    terminate: list[Terminate] = Field(default=[], max_length=model.MOST_ENTRIES)

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
        using: list[tuple[str, Location]] = [
            *((vport.vnet, ("vport", index)) for index, vport in enumerate(self.vport)),
            *((entry.vnet, ("forward", index)) for index, entry in enumerate(self.forward)),
            *((entry.vnet, ("terminate", index)) for index, entry in enumerate(self.terminate)),
            *(((self.uplink.vnet, ("uplink",)),) if self.uplink.vnet is not None else ()),
            *((vlan.vnet, ("uplink", "vlans", index)) for index, vlan in enumerate(self.uplink.vlans)),
        ]
        for name, where in using:
            if name not in vnets:
                raise ConfigError("vnet", f"there is no vnet {name!r}; {known(vnets)}", where)
        return self

    @model_validator(mode="after")
    def check_uplink(self) -> Self:
        repeated = first_repeated(vlan.id for vlan in self.uplink.vlans)
        if repeated is not None:
            vlan = self.uplink.vlans[repeated].id
            raise ConfigError("id", f"VLAN {vlan} has a vnet already", ("uplink", "vlans", repeated))
        vports = [vport.name for vport in self.vport]
        if self.uplink.slow_path is not None and self.uplink.slow_path not in vports:
            message = f"there is no vport {self.uplink.slow_path!r}; {known(vports)}"
            raise ConfigError("slow_path", message, ("uplink",))
        for index, vnet in enumerate(self.vnet):
            if vnet.unknown_unicast == "slow_path" and self.uplink.slow_path is None:
                raise ConfigError(
                    "unknown_unicast", "'slow_path' needs a vport to take it: slow_path in [uplink]", ("vnet", index)
                )
        return self

    @model_validator(mode="after")
    def check_vports(self) -> Self:
        repeated = first_repeated(
            (vport.vnet, vport.mac) if vport.mac else (vport.name, index) for index, vport in enumerate(self.vport)
        )
        if repeated is not None:
            vport = self.vport[repeated]
            assert vport.mac is not None
            message = f"{vport.mac.hex(':')!r} is that of another vport of vnet {vport.vnet!r}"
            raise ConfigError("mac", message, ("vport", repeated))
        return self

    @model_validator(mode="after")
    def check_terminate(self) -> Self:
        repeated = first_repeated(entry.ends for entry in self.terminate)
        if repeated is not None:
            raise ConfigError(
                "key", f"{self.terminate[repeated].shown} is in another entry already", ("terminate", repeated)
            )
        keyed = {entry.local for entry in self.terminate if entry.encapsulation == "gre" and entry.key is not None}
        addresses = list(dict.fromkeys(entry.local for entry in self.terminate))
        for index, entry in enumerate(self.terminate):
            if entry.encapsulation == "nvgre" and entry.local in keyed:
                raise ConfigError(
                    "encapsulation",
                    f"gre with a key ends at {entry.local} too, and cannot be told from nvgre; use another local "
                    "address for one of them",
                    ("terminate", index),
                )
            if addresses.index(entry.local) >= model.MOST_ADDRESSES:
                raise ConfigError(
                    "local",
                    f"{entry.local} is one too many; tunnels may end at {model.MOST_ADDRESSES} addresses",
                    ("terminate", index),
                )
        return self

    @model_validator(mode="after")
    def check_forwarding(self) -> Self:
        tunnels, vports = [tunnel.name for tunnel in self.tunnel], {vport.name: vport.vnet for vport in self.vport}
        for index, entry in enumerate(self.forward):
            kind, name = entry.to
            if kind == "tunnel" and name not in tunnels:
                raise ConfigError("to", f"there is no tunnel {name!r}; {known(tunnels)}", ("forward", index))
            if kind == "vport" and vports.get(name) != entry.vnet:
                there = [vport for vport, vnet in vports.items() if vnet == entry.vnet]
                raise ConfigError(
                    "to", f"vnet {entry.vnet!r} has no vport {name!r}; {known(there)}", ("forward", index)
                )
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
            forwarding={
                key: driver.network.ToVport(to.vport) if isinstance(to, ToVport) else to
                for key, to in self.forwarding().items()
            },
            tunnels=[driver.network.Tunnel(mtu=self.uplink.mtu, **tunnel_values(tunnel)) for tunnel in self.tunnel],
            receive_mtu=self.receive_mtu(),
        )

    def model_network(self) -> sim.model.network.Network:
        """The same for the reference model."""
        return sim.model.network.Network(
            mac=self.uplink.mac,
            mtu=self.uplink.mtu,
            vports=self.vports(),
            forwarding=self.forwarding(),
            tunnels=[sim.model.network.Tunnel(**tunnel_values(tunnel)) for tunnel in self.tunnel],
            receive_mtu=self.receive_mtu(),
        )

    def vports(self) -> dict[int, int]:
        vnets = [vnet.name for vnet in self.vnet]
        return {index: vnets.index(vport.vnet) for index, vport in enumerate(self.vport)}

    def receive_mtu(self) -> dict[int, int]:
        return {index: vport.receive_mtu for index, vport in enumerate(self.vport)}

    def forwarding(self) -> dict[tuple[int, bytes | None], int | Literal["drop", "uplink"] | ToVport]:
        vnets = [vnet.name for vnet in self.vnet]
        return {(vnets.index(entry.vnet), entry.mac): self.destination(*entry.to) for entry in self.forward}

    def destination(
        self, kind: Literal["tunnel", "vport", "uplink", "drop"], name: str
    ) -> int | Literal["drop", "uplink"] | ToVport:
        if kind == "tunnel":
            return [tunnel.name for tunnel in self.tunnel].index(name)
        return ToVport(self.vport_index(name)) if kind == "vport" else kind

    def driver_receive(self, preset: str = "10g") -> driver.receive.Receive:
        """What the driver writes into the receive tables of a card with that preset."""
        vnets = [vnet.name for vnet in self.vnet]
        settings = self.receive_settings(preset)
        return driver.receive.Receive(
            terminate=[
                driver.receive.Terminate(**{**dict(entry), "vnet": vnets.index(entry.vnet)}) for entry in self.terminate
            ],
            vports={
                index: driver.receive.Vport(
                    vnet=vnets.index(vport.vnet),
                    mac=vport.mac,
                    receive_mtu=vport.receive_mtu,
                    drop_bad_checksum=vport.bad_checksum == "drop",
                    multicast=vport.multicast,
                    indirection=driver.receive.spread(vport.queues),
                )
                for index, vport in enumerate(self.vport)
            },
            uplink=settings.terminate.uplink,
            slow_path=settings.steer.slow_path,
            unknown={index: UNKNOWN[vnet.unknown_unicast] for index, vnet in enumerate(self.vnet)},
            options=self.uplink.geneve_options,
            vnet_contexts=self.receive.vnet_contexts,
            class_contexts=self.receive.class_contexts,
        )

    def receive_settings(self, preset: str = "10g") -> ReceiveSettings:
        """What the reference model's receive side is told; `preset`: the card, whose contexts and times it has."""
        vnets = [vnet.name for vnet in self.vnet]
        slow_path = None if self.uplink.slow_path is None else self.vport_index(self.uplink.slow_path)
        uplink: dict[int | None, int] = {vlan.id: vnets.index(vlan.vnet) for vlan in self.uplink.vlans}
        if self.uplink.vnet is not None:
            uplink[None] = vnets.index(self.uplink.vnet)
        limits = PRESETS.get(preset, PRESETS["10g"])
        for name in Receive.model_fields:
            if (getattr(self.receive, name) or 0) > limits.contexts:
                raise UserError(
                    f"[receive] {name}: {getattr(self.receive, name)} is too many; preset {preset} has "
                    f"{limits.contexts} contexts"
                )
        if self.receive.vnet_contexts is not None:
            limits = replace(limits, vnet_contexts=self.receive.vnet_contexts)
        return ReceiveSettings(
            model.Settings(
                [model.Terminate(**{**dict(entry), "vnet": vnets.index(entry.vnet)}) for entry in self.terminate],
                uplink,
                slow_path is not None,
                self.model_network().tunnels,
                frozenset(self.uplink.geneve_options),
                contexts=limits.contexts,
                class_contexts=self.receive.class_contexts,
            ),
            limits,
            Steering(
                {
                    index: SteeredVport(
                        vnets.index(vport.vnet),
                        vport.mac,
                        vport.receive_mtu,
                        vport.queues,
                        vport.bad_checksum == "drop",
                        vport.multicast,
                    )
                    for index, vport in enumerate(self.vport)
                },
                {index: vnet.unknown_unicast for index, vnet in enumerate(self.vnet)},
                slow_path,
            ),
        )


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


UNKNOWN: dict[str, driver.receive.Unknown] = {"drop": "drop", "flood": "flood", "slow_path": "slow"}

MODELS: dict[str, type[BaseModel]] = {
    "uplink": Uplink,
    "receive": Receive,
    "vnet": Vnet,
    "vport": Vport,
    "tunnel": Tunnel,
    "forward": Forward,
    "terminate": Terminate,
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
