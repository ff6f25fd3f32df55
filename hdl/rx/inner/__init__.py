"""The inner frame of a packet: taken out of it, and read as it passes."""

from hdl.rx.inner.parser import InnerParse
from hdl.rx.inner.strip import Strip

__all__ = ["InnerParse", "Strip"]
