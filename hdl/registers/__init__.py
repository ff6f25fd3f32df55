"""What both the hardware and the host must agree on: table layouts, patch codes, drop reasons.

Pure Python with no import of Amaranth: the driver packs table rows with it, the hardware unpacks them.
"""
