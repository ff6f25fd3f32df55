"""A progress bar that shows only for what takes long."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds without a bar


class Advance(Protocol):
    """Takes how much is done, how much there is to do, and what is being done."""

    def __call__(self, done: int, total: int, doing: str = ..., /) -> None: ...


@contextmanager
def progress_bar(what: str, patience: float = PATIENCE) -> Iterator[Advance]:
    """A bar on standard error once `patience` seconds have passed, gone when the work is done.

    Nothing is shown where standard error is not a terminal.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(what)
    start, shown = monotonic(), False

    def advance(done: int, total: int, doing: str = what, /) -> None:
        nonlocal shown
        if not shown and console.is_terminal and monotonic() - start > patience:
            bar.start()
            shown = True
        bar.update(task, completed=done, total=total, description=doing)

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


def summed(progress: Advance, total: int) -> Advance:
    """One bar for several pieces of work, one after the other; `total` is what they have to do together."""
    before = 0

    def advance(done: int, number: int, doing: str = "", /) -> None:
        nonlocal before
        progress(before + done, total, doing)
        if done == number:
            before += number

    return advance


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner on standard error while something runs whose end is not known."""
    with Console(stderr=True).status(what):
        yield
