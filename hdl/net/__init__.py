"""What the standards define: header words, one's complement sums, hashes."""
