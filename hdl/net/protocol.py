"""Numbers of the protocols that the card knows (IANA)."""

HOP_BY_HOP, TCP, UDP, ROUTING, DESTINATION_OPTIONS = 0, 6, 17, 43, 60
EXTENSION_HEADERS = (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS)  # of IPv6: those that the parser walks through
