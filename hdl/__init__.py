"""The NIC itself, in Amaranth."""
