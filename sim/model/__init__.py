"""The reference model: what the card must put on the wire, byte for byte; `receive` and `coalesce` have the way back.

It is the executable specification: written from the standards, it shares no line with the card, and is itself checked
against captures of the Linux kernel, scapy and tshark.

::

    frame ── parse ── forward ── segment ── encapsulate ── packets on the wire
             parse.py  network.py segment.py encapsulate.py (flow.py, outer.py), stt.py

Start at `card.Card.transmit`; `fit` says how large a segment may be so that it fits, `fair` whose turn it is to send.
A frame for another vport of its vnet takes no way over the wire: `receive.delivery` is what that vport gets.
"""
