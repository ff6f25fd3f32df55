"""A card's receive path that knows nothing but its table rows."""

from dataclasses import dataclass, field

from driver.receive import RxWrite
from hdl.registers.exact import ExactTable
from hdl.registers.receive import Encapsulation, RxReason
from hdl.registers.rx_tables import (
    DESTINATION_TABLE,
    ENTRIES,
    INDIRECTION_ROWS,
    QUEUES_A_ROW,
    ROW_FIELDS,
    TERMINATE_TABLE,
    UPLINKS_A_ROW,
    Group,
    RxTable,
)
from tests.support.rows import unpack

GROUP_MAC = 1 << 40


@dataclass
class RxTableCard:
    """`rows`: what was written, by table and row; the rest is zero."""

    rows: dict[tuple[RxTable, int], int] = field(default_factory=dict)

    def write(self, write: RxWrite) -> None:
        self.rows[write.table, write.row] = write.data

    def row(self, table: RxTable, number: int = 0) -> dict[str, int]:
        return unpack(ROW_FIELDS[table], self.rows.get((table, number), 0))

    def exact(self, of: ExactTable, table: RxTable, key: tuple[int, ...]) -> dict[str, int] | None:
        for place in of.places_of(key):
            row = self.row(table, place)
            if row["valid"] and tuple(row[name] for name in of.key) == key:
                return row
        return None

    def terminate(
        self, kind: Encapsulation, local: int, key: int | None, source: int
    ) -> tuple[RxReason, dict[str, int] | None]:
        """The entry of a tunnel packet; or why there is none."""
        if kind == Encapsulation.GRE and key is not None and self.row(RxTable.SETTINGS)["nvgre"] >> local & 1:
            key >>= 8
        found = self.exact(TERMINATE_TABLE, RxTable.TERMINATE, (kind, local, int(key is not None), key or 0))
        if found is None:
            return RxReason.NOT_TERMINATED, None
        assert found["entry"] < ENTRIES
        entry = self.row(RxTable.ENTRY, found["entry"])
        if entry["has_remote"] and entry["remote"] != source:
            return RxReason.UNKNOWN_PEER, None
        return RxReason.NONE, entry

    def uplink(self, vlan: int | None) -> int | None:
        """The vnet of an untunnelled frame."""
        if vlan is not None:
            number, lane = divmod(vlan, UPLINKS_A_ROW)
            row = self.row(RxTable.UPLINK, number)
            if row[f"valid{lane}"]:
                return row[f"vnet{lane}"]
        settings = self.row(RxTable.SETTINGS)
        return settings["uplink_vnet"] if settings["uplink_valid"] else None

    def steer(self, vnet: int, mac: int, hash_value: int = 0, bad: bool = False) -> tuple[set[int], int]:
        """Vports, and the queue of one."""
        settings = self.row(RxTable.SETTINGS)
        queue, vports = 0, 0
        found = None if mac & GROUP_MAC else self.exact(DESTINATION_TABLE, RxTable.DESTINATION, (vnet, mac))
        if found is not None:
            owner = self.row(RxTable.VPORT, found["vport"])
            if not owner["valid"] or owner["vnet"] != vnet:
                return set(), 0
            vports, index = 1 << found["vport"], hash_value % 128
            row = self.row(RxTable.INDIRECTION, found["vport"] * INDIRECTION_ROWS + index // QUEUES_A_ROW)
            queue = row[f"queue{index % QUEUES_A_ROW}"]
        else:
            group = self.row(RxTable.GROUP, 2 * vnet + (Group.MULTICAST if mac & GROUP_MAC else Group.UNKNOWN))
            slow = 1 << settings["slow_vport"] if settings["slow_valid"] else 0
            vports = slow if group["slow"] else group["vports"]
        if bad:
            vports &= ~settings["drop_bad_checksum"]
        return {number for number in range(64) if vports >> number & 1}, queue
