"""One compiled card for each width, shared by the tests of a process."""

from collections.abc import Iterator

import pytest

from hdl.config import PRESETS, NicConfig
from sim.card.card import VirtualCard
from sim.card.receive import VirtualReceiver

CONFIGS: dict[int, NicConfig] = {
    8: PRESETS["10g"],
    16: PRESETS["25g"],
    32: PRESETS["25g"].replace(name="256-bit", width=32),
    64: PRESETS["100g"],
}


@pytest.fixture(scope="session")
def cards() -> Iterator[dict[int, VirtualCard]]:
    """Open cards by width; opened when first asked for."""

    class Cards(dict[int, VirtualCard]):
        def __missing__(self, width: int) -> VirtualCard:
            self[width] = VirtualCard(CONFIGS[width])
            return self[width]

    opened = Cards()
    yield opened
    for card in opened.values():
        card.close()


@pytest.fixture(scope="session")
def local_cards() -> Iterator[dict[int, VirtualCard]]:
    """The same with what hands frames to other vports."""

    class Cards(dict[int, VirtualCard]):
        def __missing__(self, width: int) -> VirtualCard:
            self[width] = VirtualCard(CONFIGS[width], local=True)
            return self[width]

    opened = Cards()
    yield opened
    for card in opened.values():
        card.close()


@pytest.fixture(scope="session")
def receivers() -> Iterator[dict[int, VirtualReceiver]]:
    """The same for receiving."""

    class Cards(dict[int, VirtualReceiver]):
        def __missing__(self, width: int) -> VirtualReceiver:
            self[width] = VirtualReceiver(CONFIGS[width])
            return self[width]

    opened = Cards()
    yield opened
    for card in opened.values():
        card.close()
