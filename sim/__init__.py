"""What stands in for a card: the reference model and the virtual card.

* `sim.model`: the byte-level reference model. Imports nothing of the rest of the project.
* `sim.card`: the compiled card behind the driver's own interface.
"""
