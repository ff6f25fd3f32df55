"""Frames from one vport to another of the same card: they never see the wire."""
