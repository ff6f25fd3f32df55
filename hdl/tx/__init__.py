"""The transmit path: parse, forward, segment, encapsulate."""
