"""The reference model of the receive path: what the card hands up for the packets that come off the wire.

As on transmit it is the executable specification: written from the standards, sharing no line with the card.

::

    packet ── outer ── terminate ── decapsulate ── verify ── ECN ── one frame ─┬─ ../coalesce ─┬─ steer ── delivery
              outer.py terminate.py decapsulate.py verify.py ecn.py received.py └───── STT ─────┘ steer.py  delivery.py
                            └ STT: stt.py ── reassemble.py ┘                                      rss.py

Start at `card.ReceiveCard.receive`; `receiver.Receiver.receive` is the part up to one frame for a vnet. `reasons` names
every way in which a packet does not become a delivery.
"""
