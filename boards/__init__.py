"""Synthesis: what the NIC costs and how fast it runs on real parts."""
