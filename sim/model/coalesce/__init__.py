"""The reference model of coalescing: received TCP segments of a flow become super-segments again.

It follows the Linux kernel's generic receive offload (GRO: inet_gro_receive, ipv6_gro_receive, tcp_gro_receive), and is
held to what the kernel itself did. One rule decides every doubt: **a coalesced frame, cut again with its `gso_size`,
gives back exactly the packets that came.**

::

    arrivals   A0  B0  A1  B1  A2        inner frames, tunnel off, checksums verified
                │   │   │   │   │
    contexts    └ A ┼───┴───┼───┘        a run a flow: who it is, what comes next
                    └── B ──┘
    deliveries  headers'│ a0 │ a1 │ a2   headers'│ b0 │ b1       with gso_size, gso_type, segments

Start at `coalescer.Coalescer`. `rules` says which packets belong together, `run` is one open super-segment, `merge`
writes its headers, and `packet` says what comes in and what goes out.
"""
