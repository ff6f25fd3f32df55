"""What the Linux kernel does to super-segments, and how to compare with it."""
