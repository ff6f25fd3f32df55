"""Exact-match tables: a cuckoo hash with several ways, as hardware and driver both compute it.

::

    key ─┬─ masks of way 0 ── parities ── row of way 0
         ├─ masks of way 1 ── parities ── row of way 1      a key lies in at most one of them
         └─ ...
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hdl.registers.rows import Fields


@dataclass(frozen=True, kw_only=True)
class ExactTable:
    """The shape of one table. Its places are numbered way * `rows` + row.

    `fields`: of a row, `valid` among them; `key`: those that make the key, the most significant first; `masks`: of each
    way, the bits of the key whose parity is a bit of the row's number, bit 0 first.
    """

    fields: Fields
    key: tuple[str, ...]
    masks: tuple[tuple[int, ...], ...]

    @property
    def ways(self) -> int:
        return len(self.masks)

    @property
    def row_bits(self) -> int:
        """Bits of a row's number in its way."""
        return len(self.masks[0])

    @property
    def rows(self) -> int:
        """Rows a way."""
        return 1 << self.row_bits

    @property
    def places(self) -> int:
        return self.ways * self.rows

    @property
    def key_fields(self) -> Fields:
        """The key's fields, least significant first."""
        return {name: self.fields[name] for name in reversed(self.key)}

    @property
    def value_fields(self) -> Fields:
        """What a row holds beside the key, `valid` included."""
        return {name: width for name, width in self.fields.items() if name not in self.key}

    def row(self, way: int, key: tuple[int, ...]) -> int:
        """The row of `way` in which a key may lie; `key` has its fields' values in the order of `self.key`."""
        number = 0
        for name, value in zip(self.key, key, strict=True):
            number = number << self.fields[name] | value
        return sum(((number & mask).bit_count() & 1) << bit for bit, mask in enumerate(self.masks[way]))

    def places_of(self, key: tuple[int, ...]) -> list[int]:
        """The places in which a key may lie, one a way."""
        return [way * self.rows + self.row(way, key) for way in range(self.ways)]

    def values(self, key: tuple[int, ...]) -> Mapping[str, int]:
        """The key's fields by name."""
        return dict(zip(self.key, key, strict=True))
