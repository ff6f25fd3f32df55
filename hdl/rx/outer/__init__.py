"""The outer parser: what a packet off the wire is, where its inner frame begins, and whether its checksums are right."""

from hdl.rx.outer.parser import OuterParse

__all__ = ["OuterParse"]
