"""How deep the parsers look."""

HEADER_BYTES = 512  # deepest header the parser looks into
HEADER_WORDS = HEADER_BYTES // 2
HEADER_WORD_BITS = 9  # 0 .. 256 words, inclusive
EXTENSIONS = 4  # extension headers of IPv6 that are walked through
