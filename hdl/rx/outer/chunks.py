"""An STT fragment in chunks, while it is still arriving."""

from amaranth import Cat, Mux, Signal

from hdl.parse.pipe import BeatPipe
from hdl.rx.layouts import SttChunk, chunk_rows

LENGTH_BITS = 17


def chunk_marks(pipe: BeatPipe) -> None:
    """`mark`: with this beat a chunk ends, or the packet; 1 stage."""
    first, step = chunk_rows(pipe.width)
    row = Signal(range(first + step))  # of this beat; from the end of the first chunk on, of its chunk
    with pipe.m.If(pipe.valid):
        pipe.m.d.sync += row.eq(Mux(pipe.last, 0, Mux(row == first + step - 1, first, row + 1)))
    pipe.put(mark=pipe.last | (row == first - 1) | (row == first + step - 1))
    pipe.step()


def chunks_near(pipe: BeatPipe, ports) -> None:
    """`chunk_soon`: a fragment's beats are between here and the pipeline's end."""
    near = Signal(ports.facts_latency - pipe.stage)
    pipe.m.d.comb += ports.chunk_soon.eq(near.any())
    pipe.m.d.sync += near.eq(Cat(pipe.valid & pipe.is_stt, near))


def leave_chunks(pipe: BeatPipe, beats: BeatPipe, ports) -> None:
    """Give the chunks; 3 stages, the last of which is the register behind the pipeline's end.

    ::

        rows    0 .. 19       20 .. 23   24 .. 26, last
               │ h h d d d │ d d d d  │ d d . │            sent: the byte up to which chunks have been given

    `beats`: the same pipeline in which nothing is concluded. Two marks of a packet may come one behind the other, so
    what differs from one to the next goes there. Also counts the rows that have come: `packet_row`, of the packet's
    first beat, and `row_behind`, behind the present one.
    """
    m, last = pipe.m, beats.last
    first, step = (rows * pipe.width for rows in chunk_rows(pipe.width))
    begun = Signal()  # a chunk of the packet has been given
    edge, edge_before = Signal(LENGTH_BITS, init=first), Signal(LENGTH_BITS)  # byte behind this chunk, the one before
    so_far = Mux(last, pipe.total, edge)
    with m.If(pipe.valid):
        m.d.sync += [begun.eq(~last), edge_before.eq(edge), edge.eq(Mux(last, first, edge + step))]
    beats.put(
        first_chunk=~begun,
        sent=Mux(begun, edge_before, pipe.data_at)[:LENGTH_BITS],
        stop=Mux(pipe.ip_end < so_far, pipe.ip_end, so_far)[:LENGTH_BITS],
    )
    pipe.step()
    beats.step()

    as_chunks = Signal()
    chunked = Mux(beats.first_chunk, pipe.as_chunks, as_chunks)
    with m.If(pipe.valid):
        m.d.sync += as_chunks.eq(chunked)
    beats.put(
        chunked=chunked,
        left=(beats.stop - beats.sent)[: LENGTH_BITS + 1],
        turn=Mux(beats.first_chunk, chunked | beats.last, beats.last & ~chunked),
    )
    pipe.step()
    beats.step()

    row_behind, packet_row = Signal(16, init=1), Signal(16)
    with m.If(beats.valid):
        m.d.sync += row_behind.eq(row_behind + 1)
        with m.If(beats.last):
            m.d.sync += packet_row.eq(row_behind)
    pipe.put(row_behind=row_behind, packet_row=packet_row)

    bits = (pipe.width - 1).bit_length()
    chunk = Signal(SttChunk, reset_less=True)
    m.d.sync += [
        ports.chunk_valid.eq(pipe.valid & beats.chunked),
        ports.order_valid.eq(pipe.valid & beats.turn),
        ports.order.eq(beats.chunked),
        chunk.first.eq(beats.first_chunk),
        chunk.last.eq(beats.last),
        chunk.row.eq(packet_row + beats.sent[bits:]),
        chunk.lane.eq(beats.sent[:bits]),
        chunk.length.eq(Mux(beats.left[-1], 0, beats.left)),
        chunk.release_row.eq(row_behind),
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
