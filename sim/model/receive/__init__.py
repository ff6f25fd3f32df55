"""The reference model of the receive path: what the card hands up for the packets that come off the wire.

As on transmit it is the executable specification: written from the standards, sharing no line with the card.

::

    packet ── outer ── terminate ── decapsulate ── verify ── ECN ── delivery: one frame for a vnet
              outer.py terminate.py decapsulate.py verify.py ecn.py  delivery.py
                            └ STT: stt.py ── reassemble.py ┘

Start at `receiver.Receiver.receive`; `reasons` names every way in which a packet does not become a delivery.
"""
