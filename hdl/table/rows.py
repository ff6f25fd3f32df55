"""Layouts of table rows, from the one description that the driver shares (`hdl.registers.tables`)."""

from amaranth.lib import data

from hdl.registers import tables
from hdl.registers.patches import OUTER_PATCH_BITS
from hdl.registers.rows import Fields

# In block RAM, and never read in the cycle of a write (see `hdl.table.writer`): no bypass needed.
TABLE_MEMORY = {"ram_style": "block", "no_rw_check": 1}


def row_layout(fields: Fields) -> data.StructLayout:
    """The layout of a table row."""
    return data.StructLayout(dict(fields))


VPORT_ROW = row_layout(tables.VPORT_FIELDS)
ROUTE_ROW = row_layout(tables.ROUTE_FIELDS)
EXACT_ROW = row_layout(tables.EXACT_FIELDS)
TUNNEL_ROW = row_layout(tables.TUNNEL_FIELDS)
PROFILE_ROW = row_layout(tables.PROFILE_FIELDS)
SEQUENCE_ROW = row_layout(tables.SEQUENCE_FIELDS)


def template_row(width: int) -> data.StructLayout:
    """One beat of an outer header's template: bytes, and an `OuterPatch` code for each word."""
    return data.StructLayout({"data": 8 * width, "codes": data.ArrayLayout(OUTER_PATCH_BITS, width // 2)})


def write_layout(*, table_bits: int, row_bits: int, data_bits: int) -> data.StructLayout:
    """A row on its way into one of several tables: `data` holds the row in its low bits."""
    return data.StructLayout({"valid": 1, "table": table_bits, "row": row_bits, "data": data_bits})


def table_write(width: int) -> data.StructLayout:
    """A row on its way into a table of the transmit path."""
    widest = max(
        template_row(width).size, TUNNEL_ROW.size, PROFILE_ROW.size, EXACT_ROW.size, VPORT_ROW.size, SEQUENCE_ROW.size
    )
    return write_layout(table_bits=3, row_bits=12, data_bits=widest)
