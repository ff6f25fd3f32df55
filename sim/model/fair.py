"""Whose turn it is to send: deficit round robin between vports (Shreedhar and Varghese, 1995)."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence


def deficit_round_robin(waiting: Mapping[int, Sequence[int]], quantum: int) -> Iterator[tuple[int, int]]:
    """The order in which frames leave that all wait at once: (vport, number of its frame), until none is left.

    ::

        turn       vport 0: + quantum           vport 1: + quantum           vport 0: + quantum
        deficit    ├ frame ┤├ frame ┤ rest      ├ rest: the frame is longer  ├ rest + quantum ...

    `waiting` has the lengths of each vport's frames in bytes; a super-segment is one frame, and never interrupted. What
    a turn leaves of its `quantum` bytes is for the vport's next turn, and is lost when nothing more waits. In the long
    run every vport that has frames waiting sends as many bytes as any other, but for less than a quantum and a frame.
    """
    if quantum < 1:
        raise ValueError(f"quantum {quantum} is not at least 1 byte")
    left = {vport: deque(enumerate(lengths)) for vport, lengths in waiting.items() if lengths}
    deficit = dict.fromkeys(left, 0)
    turns = deque(left)
    while turns:
        vport = turns.popleft()
        frames = left[vport]
        deficit[vport] += quantum
        while frames and frames[0][1] <= deficit[vport]:
            number, length = frames.popleft()
            deficit[vport] -= length
            yield vport, number
        if frames:
            turns.append(vport)
