"""STT frames put together in host memory: holes, slots, frames, facts and completions."""

from hdl.rx.reassemble.reassemble import Reassemble, default_quota

__all__ = ["Reassemble", "default_quota"]
