"""The parser: where each layer of a frame begins, what tables match on, and the sums of its headers."""

from hdl.tx.parse.parser import Parse

__all__ = ["Parse"]
