"""The compiled path under cocotb: what needs a hand on every single cycle."""
