"""The kernel's 1,412 coalescing cases through the compiled receive path: it does what the model does.

What the model does beside what the kernel did is said, class by class, in tests/model/coalesce/test_linux.py and
tests/model/receive/test_kernel.py.
"""

from dataclasses import replace

import pytest

from hdl.registers.receive import RxReason
from sim.model.coalesce.coalescer import Limits
from sim.model.receive.card import ReceiveCard, ReceiveSettings
from sim.model.receive.outer import read
from sim.model.receive.steer import Steering, Vport
from sim.model.receive.terminate import Settings
from tests.model.receive.test_kernel import entry
from tests.path.receive_against_model import SHORTEST, difference, of_card, start
from tests.support import gro

WIDTHS = (8, 64)
QUIET = 500  # cycles: more than what any packet takes on its way through


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("file", gro.FILES)
def test_what_the_kernel_was_given(receivers, file: str, width: int) -> None:
    """Burst by burst, all handed up at its end; the card keeps its tables while the tunnels stay the same."""
    card, programmed, cases = receivers[width], None, 0
    again = f"pytest 'tests/path/test_receive_linux.py::test_what_the_kernel_was_given[{file}-{width}]'"
    for case in sorted(gro.load(file), key=lambda one: one.links):
        outer = read(case.packets[0])
        assert outer is not None
        entries = [entry(link, outer.destination, vnet) for vnet, link in enumerate(case.links)]
        vports = {vnet: Vport(vnet) for vnet in range(len(entries))} | {63: Vport(63)}
        limits = Limits(contexts=card.config.contexts, vnet_contexts=card.config.contexts)
        settings = ReceiveSettings(
            Settings(entries, slow_path=True), limits, Steering(vports, dict.fromkeys(range(len(entries)), "flood"), 63)
        )
        if settings != programmed:
            start(card, settings)
            programmed = replace(settings)
        packets = [packet.ljust(SHORTEST, b"\0") for packet in case.packets]
        model = ReceiveCard(settings)
        want = [delivery for packet in packets for delivery in model.receive(packet)] + model.flush()
        result = card.receive(packets, settle=QUIET, once=True)
        found = difference([of_card(one) for one in result.deliveries], want)
        assert not found, f"{case.name} ({case.varies}): {found}; repeat with: {again}"
        lost = {reason.name.lower(): count for reason, count in result.lost.items() if reason != RxReason.NONE}
        drops = {name.removeprefix("drop."): n for name, n in model.counters.items() if n and name.startswith("drop.")}
        assert lost == drops, f"{case.name} ({case.varies}): {lost}, not {drops}; repeat with: {again}"
        cases += 1
    assert cases > 50
