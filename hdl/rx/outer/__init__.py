"""The outer parser: what a packet is, where its inner frame begins, whether its checksums are right."""

from hdl.rx.outer.parser import OuterParse

__all__ = ["OuterParse"]
