"""Packet streams: the beat, FIFOs, byte alignment, joining a header to a payload."""
