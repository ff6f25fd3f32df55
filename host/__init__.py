"""What people use: the `tunnelnic` command and the files that it reads and writes.

::

    cli ─┬─ segment ─┐
         ├─ bench ───┼─ simulation (virtual card) ─ driver
         └─ demo ────┘
              config (TOML) · captures (pcap, pcapng) · report (JSON, tables)
"""
