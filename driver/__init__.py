"""Reaching a card: what to write into its tables, in which order, and how to read its counters.

::

    network.Network ── profiles.render ── tables.program ── transport.Transport ── card
                                          cuckoo.Cuckoo                      └──── counters.read
    receive.Receive ───────────────────── receive.writes
"""
