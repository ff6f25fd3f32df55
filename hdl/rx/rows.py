"""Layouts of the receive path's table rows, from the one description that the driver shares."""

from hdl.registers.rows import row_bits
from hdl.registers.rx_tables import (
    ENTRY_FIELDS,
    GROUP_FIELDS,
    INDIRECTION_FIELDS,
    ROW_FIELDS,
    SETTINGS_FIELDS,
    UPLINK_FIELDS,
    VPORT_FIELDS,
    RxTable,
)
from hdl.table.rows import row_layout, write_layout

UPLINK_ROW = row_layout(UPLINK_FIELDS)
ENTRY_ROW = row_layout(ENTRY_FIELDS)
SETTINGS_ROW = row_layout(SETTINGS_FIELDS)
GROUP_ROW = row_layout(GROUP_FIELDS)
VPORT_ROW = row_layout(VPORT_FIELDS)
INDIRECTION_ROW = row_layout(INDIRECTION_FIELDS)

RX_TABLE_WRITE = write_layout(
    table_bits=max(RxTable).bit_length(), row_bits=12, data_bits=max(map(row_bits, ROW_FIELDS.values()))
)
"""A row on its way into a table of the receive path."""
