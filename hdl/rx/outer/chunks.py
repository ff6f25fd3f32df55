"""An STT fragment in chunks, while it is still arriving."""

from amaranth import Cat, Mux, Signal

from hdl.parse.pipe import BeatPipe
from hdl.rx.layouts import SttChunk, chunk_rows

LENGTH_BITS = 17


def chunk_marks(pipe: BeatPipe) -> None:
    """With which beats a chunk ends, and at which byte; 2 stages."""
    first, step = chunk_rows(pipe.width)
    bits = (pipe.width - 1).bit_length()
    rows = (pipe.row + 1)[: len(pipe.row)]
    pipe.put(
        boundary=(rows >= first) & ((rows - first)[: (step - 1).bit_length()] == 0),
        so_far=Mux(pipe.last, pipe.total, rows << bits)[:LENGTH_BITS],
        after_row=(pipe.ring_row + rows)[:16],
    )
    pipe.step()
    pipe.put(
        mark=pipe.boundary | pipe.last, stop=Mux(pipe.ip_end < pipe.so_far, pipe.ip_end, pipe.so_far)[:LENGTH_BITS]
    )
    pipe.step()


def leave_chunks(pipe: BeatPipe, ports) -> None:
    """Give the chunks; 2 stages, the second of which is the register behind the pipeline's end.

    ::

        rows    0 .. 19       20 .. 27   28 .. 30, last
               │ h h d d d │ d d d d  │ d d . │            sent: the byte up to which chunks have been given
    """
    m = pipe.m
    begun_state, chunked_state = Signal(), Signal()
    sent_state = Signal(LENGTH_BITS)
    begun = begun_state & ~pipe.first
    chunked = Mux(begun, chunked_state, pipe.as_chunks & pipe.mark)
    event = pipe.valid & pipe.mark
    with m.If(pipe.valid):
        m.d.sync += begun_state.eq(begun | pipe.mark)
    with m.If(event):
        m.d.sync += [chunked_state.eq(chunked), sent_state.eq(pipe.so_far)]
    sent = Mux(begun, sent_state, pipe.data_at)
    pipe.put(
        chunked=chunked,
        first_chunk=~begun,
        sent=sent[:LENGTH_BITS],
        left=(pipe.stop - sent)[: LENGTH_BITS + 1],
        turn=event & (Mux(begun, 0, chunked) | (pipe.last & ~chunked)),
    )
    pipe.step()

    bits = (pipe.width - 1).bit_length()
    chunk = Signal(SttChunk, reset_less=True)
    m.d.sync += [
        ports.chunk_valid.eq(pipe.valid & pipe.mark & pipe.chunked),
        ports.order_valid.eq(pipe.valid & pipe.turn),
        ports.order.eq(pipe.chunked),
        chunk.first.eq(pipe.first_chunk),
        chunk.last.eq(pipe.last),
        chunk.row.eq(pipe.ring_row + pipe.sent[bits:]),
        chunk.lane.eq(pipe.sent[:bits]),
        chunk.length.eq(Mux(pipe.left[-1], 0, pipe.left)),
        chunk.release_row.eq(pipe.after_row),
        chunk.reason.eq(pipe.frame_reason),
        chunk.source.eq(Cat(pipe.source_3, pipe.source_2, pipe.source_1, pipe.source_0)),
        chunk.local.eq(pipe.local),
        chunk.ipv6.eq(pipe.ipv6),
        chunk.identifier.eq(pipe.h_2),
        chunk.total.eq(pipe.h_1[16:]),
        chunk.offset.eq(pipe.h_1[:16]),
        chunk.size.eq(pipe.data_size),
        chunk.tos.eq(pipe.tos),
        chunk.verdict.eq(pipe.verdict),
        chunk.sum.eq(pipe.sum_bytes),
    ]
    m.d.comb += ports.chunk.eq(chunk)
