"""The model's networks, told to the driver."""

from dataclasses import fields

import driver.network
import sim.model.network


def for_driver(network: sim.model.network.Network) -> driver.network.Network:
    tunnels = []
    for tunnel in network.tunnels:
        values = {field.name: getattr(tunnel, field.name) for field in fields(tunnel)}
        values |= {"checksum": tunnel.has_checksum, "mtu": network.mtu_of(tunnel)}
        tunnels.append(driver.network.Tunnel(**values))
    return driver.network.Network(
        mac=network.mac,
        mtu=network.mtu,
        vports=network.vports,
        forwarding={
            key: driver.network.ToVport(to.vport) if isinstance(to, sim.model.network.ToVport) else to  # type: ignore[misc]
            for key, to in network.forwarding.items()
        },
        tunnels=tunnels,
        receive_mtu=network.receive_mtu,
    )
