"""The command `tunnelnic`.

Exit codes: 0 all is well; 1 a packet differs from the model or a frame is unaccounted for; 2 the command, an input or
the configuration cannot be used; 3 an error in the program itself.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hdl.config import PRESETS
from host import report, traffic
from host.captures import check_folder
from host.errors import Mismatch, UserError

MISMATCH, USAGE, INTERNAL, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    help="TunnelNIC: an open FPGA NIC that segments TCP inside tunnels at line rate. Here its compiled RTL runs.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
bench_app = typer.Typer()
app.add_typer(bench_app, name="bench")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Preset = Annotated[str, typer.Option(help=f"The card: {', '.join(PRESETS)}.", metavar="NAME")]


def show_version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"tunnelnic {version('tunnelnic')}")
        except PackageNotFoundError:
            print("tunnelnic (not installed)")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show where an unexpected error came from.")] = False,
) -> None:
    pass


@app.command(epilog="Example: tunnelnic segment web.pcap out.pcap --config net.toml --vport vm1 --report report.json")
def segment(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Capture of frames as a host hands them to its NIC.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Capture to write: .pcap or .pcapng.")],
    config: Annotated[Path, typer.Option(help="The network: a TOML file.", metavar="FILE")],
    vport: Annotated[
        str | None, typer.Option(help="Who sends the frames. (default: the first)", metavar="NAME")
    ] = None,
    preset: Preset = "10g",
    gso_size: Annotated[
        int | None,
        typer.Option(min=0, max=0xFFFF, help="Bytes of TCP payload a segment. (default: the largest that fits)"),
    ] = None,
    local_file: Annotated[
        Path | None,
        typer.Option("--local", help="Capture to write of what other vports get: .pcap or .pcapng.", metavar="FILE"),
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write the figures here.", metavar="FILE")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Write a waveform (VCD) here; slow.", metavar="FILE")] = None,
    check: Annotated[bool, typer.Option(help="Compare every packet with the reference model.")] = True,
    as_json: Json = False,
) -> None:
    """Send a capture through the card and write what it puts on the wire.

    A packet comment in a pcapng capture, gso_size=1410 gso_type=tcpv4, wins over --gso-size.
    """
    from host.segment import segment as work

    figures = work(
        source,
        target,
        config,
        vport=vport,
        preset=preset,
        gso_size=gso_size,
        local_path=local_file,
        report_path=report_file,
        trace=trace,
        check=check,
    )
    report.show(figures, report.table(figures), as_json=as_json)
    raise typer.Exit(report.exit_code(figures))


@app.command(epilog="Example: tunnelnic receive wire.pcap out.pcapng --config net.toml --report report.json")
def receive(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Capture of packets as they are on the wire.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="Capture to write of what the vports get: .pcap or .pcapng.")
    ],
    config: Annotated[Path, typer.Option(help="The network: a TOML file.", metavar="FILE")],
    preset: Preset = "10g",
    keep_times: Annotated[
        bool,
        typer.Option(
            "--keep-times", help="Packets come when the capture says; slow for long ones. (default: back to back)"
        ),
    ] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Write the figures here.", metavar="FILE")
    ] = None,
    trace: Annotated[Path | None, typer.Option(help="Write a waveform (VCD) here; slow.", metavar="FILE")] = None,
    check: Annotated[bool, typer.Option(help="Compare every frame with the reference model.")] = True,
    as_json: Json = False,
) -> None:
    """Bring a capture to the card over the wire and write what it hands up to the vports.

    In pcapng each vport is an interface, and packet comments say gso_size=1448 gso_type=tcpv4 checksum=partial queue=3.
    """
    from host import report_receive
    from host.receive import receive as work

    figures = work(
        source,
        target,
        config,
        preset=preset,
        keep_times=keep_times,
        report_path=report_file,
        trace=trace,
        check=check,
    )
    report.show(figures, report_receive.table(figures), as_json=as_json)
    raise typer.Exit(report_receive.exit_code(figures))


@bench_app.callback(
    invoke_without_command=True, epilog="Example: tunnelnic bench --quick --json bench.json --plot bench.svg"
)
def bench_all(
    context: typer.Context,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures here; - prints them.", metavar="FILE")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw the curves here.", metavar="FILE.svg")] = None,
    preset: Preset = "10g",
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: about a minute.")] = False,
) -> None:
    """Measure two cards and the wire between them: the founding article's tables, small packets, a lossy wire.

    Without a command it runs all of that; a command measures one path by itself.
    """
    if context.invoked_subcommand is not None:
        if json_file or plot_file or quick or preset != "10g":
            raise UserError(f"options of `bench` itself go behind `bench {context.invoked_subcommand}`, if it has them")
        return
    from host import benchmark, plot
    from host.progress import progress_bar
    from host.simulation import preset as named

    nic, as_json = named(preset), json_file == Path("-")
    for path in (plot_file, None if as_json else json_file):
        if path is not None:
            check_folder(path)
    with progress_bar("bench", patience=0) as progress:
        found = benchmark.run(nic, benchmark.QUICK if quick else benchmark.NORMAL, progress)
    if json_file is not None and not as_json:
        report.write_json(json_file, found)
    if plot_file is not None:
        plot.write(plot_file, found["small_packets"], found["loss"]["rows"], nic.name)
    report.show(found, benchmark.shown(found, nic), as_json=as_json)
    raise typer.Exit(benchmark.exit_code(found))


@bench_app.command(
    "tx", epilog="Example: tunnelnic bench tx --preset 10g --pattern 32k --encapsulation 'stt frame ipv4'"
)
def bench_tx(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows here; - prints them.", metavar="FILE")
    ] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Cards. (default: 10g and 100g)", metavar="NAME")] = None,
    encapsulation: Annotated[
        list[str] | None, typer.Option(help="Ways to wrap. (default: all)", metavar="NAME")
    ] = None,
    pattern: Annotated[
        list[str] | None, typer.Option(help=f"Traffic: {', '.join(traffic.PATTERNS)}. (default: all)", metavar="NAME")
    ] = None,
    cycles: Annotated[int, typer.Option(min=1000, help="Clock cycles to measure over, after warm-up.")] = 1_000_000,
) -> None:
    """Measure the transmit path: every encapsulation, 32 KB writes, 64-byte frames and a mix, on each card."""
    from host import bench
    from host.encapsulations import all_tunnels
    from host.progress import progress_bar

    presets = bench.choose(list(PRESETS), preset or ["10g", "100g"], "preset")
    encapsulations = bench.choose(list(all_tunnels()), encapsulation or [], "encapsulation")
    patterns = bench.choose(traffic.PATTERNS, pattern or [], "pattern")
    as_json = json_file == Path("-")
    if json_file is not None and not as_json:
        check_folder(json_file)
    with progress_bar("bench", patience=0) as progress:
        rows = list(bench.bench(presets, encapsulations, patterns, cycles, progress))
    if json_file is not None and not as_json:
        report.write_json(json_file, {"rows": rows})
    report.show({"rows": rows}, bench.table(rows), as_json=as_json)


@bench_app.command("rx", epilog="Example: tunnelnic bench rx --preset 10g --encapsulation 'gre ipv4' --size 64")
def bench_rx(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the rows here; - prints them.", metavar="FILE")
    ] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Cards. (default: 10g and 100g)", metavar="NAME")] = None,
    encapsulation: Annotated[
        list[str] | None, typer.Option(help="Ways to wrap. (default: all)", metavar="NAME")
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=64, max=9238, help="Bytes on the wire, FCS counted. (default: RFC 2544's and all from 64 to 160)"
        ),
    ] = None,
    packets: Annotated[int, typer.Option(min=1000, help="Packets to measure over, after warm-up.")] = 100_000,
    shard: Annotated[
        str, typer.Option(help="Only the K-th of N equal parts of all rows, for several machines.", metavar="K/N")
    ] = "1/1",
    merge: Annotated[
        list[Path] | None, typer.Option(help="Measure nothing: take the rows of these JSON files.", metavar="FILE")
    ] = None,
) -> None:
    """Measure the receive path: a saturated wire, tables full and contexts open, packets of every size; takes hours.

    It fails (exit code 1) if packets are lost at a size that the clock allows.
    Several machines, or evenings, share it with --shard; --merge puts their JSON files together.
    """
    from host import bench, saturate
    from host.encapsulations import all_tunnels
    from host.link import open_receiver, several
    from host.progress import progress_bar
    from host.simulation import preset as named

    presets = bench.choose(list(PRESETS), preset or ["10g", "100g"], "preset")
    encapsulations = bench.choose(list(all_tunnels()), encapsulation or [], "encapsulation")
    as_json = json_file == Path("-")
    if json_file is not None and not as_json:
        check_folder(json_file)
    part, rows = saturate.shard(shard), saturate.merged(merge or [])
    for name in [] if merge else presets:
        nic = named(name)
        with progress_bar("bench", patience=0) as progress:
            progress(0, 1, f"compiling {name}")
            with several(open_receiver, nic) as cards:
                rows += saturate.saturate(cards, encapsulations, size or saturate.SIZES, packets, progress, part)
    if json_file is not None and not as_json:
        report.write_json(json_file, {"rows": rows})
    report.show({"rows": rows}, saturate.table(rows), as_json=as_json)
    raise typer.Exit(0 if rows and all(map(saturate.does_its_best, rows)) else MISMATCH)


@app.command(epilog="Example: tunnelnic demo --folder /tmp/demo")
def demo(
    preset: Preset = "10g",
    capture: Annotated[Path | None, typer.Option(help="Another capture.", metavar="FILE")] = None,
    folder: Annotated[Path, typer.Option(help="Where the captures go.", metavar="FOLDER")] = Path("build/demo"),
    as_json: Json = False,
) -> None:
    """Segment a real web server's traffic through every encapsulation."""
    from host import demo as work

    reports = work.demo(preset, capture or work.CAPTURE, folder)
    report.show({"rows": reports}, work.table(reports), as_json=as_json)
    if not as_json:
        print(f"captures: {folder}")
    raise typer.Exit(max(map(report.exit_code, reports)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Errors go to standard error, one line each."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if not arguments:
            app(["--help"], prog_name="tunnelnic", standalone_mode=False)
            return USAGE
        return app(arguments, prog_name="tunnelnic", standalone_mode=False) or 0
    except Mismatch as error:
        return fail(str(error), MISMATCH)
    except UserError as error:
        return fail(str(error), USAGE)
    except typer.TyperException as error:
        return fail(error.format_message(), USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush fails in silence
        return INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return fail(f"unexpected {type(error).__name__}: {error}; run `tunnelnic --debug ...` to see where", INTERNAL)


def fail(message: str, code: int) -> int:
    """One line on standard error."""
    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"tunnelnic: {line}", style="red")
    return code


if __name__ == "__main__":
    sys.exit(main())
