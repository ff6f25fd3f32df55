"""Coalescing of received TCP segments. Start at `coalesce.Coalesce`."""

from hdl.rx.coalesce.coalesce import Coalesce

__all__ = ["Coalesce"]
