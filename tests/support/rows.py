"""Table rows, taken apart again."""

from hdl.registers.rows import Fields


def unpack(fields: Fields, row: int) -> dict[str, int]:
    """A row's fields by name."""
    values = {}
    for name, width in fields.items():
        values[name] = row & ((1 << width) - 1)
        row >>= width
    assert row == 0, "a row is wider than its fields"
    return values
