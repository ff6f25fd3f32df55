"""Reaching a card: what to write into its tables, in which order, and how to read its counters.

::

    network.Network ── profiles.render ── tables.program ──┬─ transport.Transport ── card
    receive.Receive ───────────────────── receive.program ─┘                   └──── counters.read
                                          cuckoo.Cuckoo: who finds room where
                                          changes.changes: what a card that was just switched on need not be told
"""
