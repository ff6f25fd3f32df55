"""What people use: the `tunnelnic` command and the files that it reads and writes.

::

    cli ─┬─ segment ─┐
         ├─ bench ───┼─ simulation (virtual card) ─────────── driver
         ├─ demo ────┘                                        │
         └─ receive ─── receive_simulation (virtual card) ────┘
              config (TOML) · captures (pcap, pcapng) · report (JSON, tables)
"""
