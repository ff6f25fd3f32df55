"""The compiled cards that tests/path has."""

from tests.path.conftest import cards, receivers

__all__ = ["cards", "receivers"]
