"""STT frames put together in host memory: holes, slots, frames, facts and completions."""

from hdl.rx.reassemble.reassemble import Reassemble

__all__ = ["Reassemble"]
