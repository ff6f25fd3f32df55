"""Software of the card's own processor. There is none yet: the processor comes with the boards."""
