"""What all tables have in common: a row is named fields, packed into an integer."""

from collections.abc import Mapping

Fields = Mapping[str, int]
"""Name to width in bits, least significant field first."""


def row_bits(fields: Fields) -> int:
    """Width of a row in bits."""
    return sum(fields.values())


def pack(fields: Fields, values: Mapping[str, int]) -> int:
    """A row as an integer. Raises ValueError for an unknown field or a value that does not fit."""
    unknown = set(values) - set(fields)
    if unknown:
        raise ValueError(f"no field {sorted(unknown)[0]!r}; the fields are {', '.join(fields)}")
    row, at = 0, 0
    for name, width in fields.items():
        value = int(values.get(name, 0))
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} is {value}; it must fit {width} bits")
        row |= value << at
        at += width
    return row
