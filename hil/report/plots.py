"""A channel of a test as inline SVG: commanded on delivered current under the limit, charge, residual; faults as bands.

The scope's pulses are drawn one by one, each as a line from zero to its greater phase; where several share a column of
pixels the greatest is drawn. Time is counted in seconds since the first that was seen in the test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import accumulate

from hil.evidence import Channel, Injection, Test
from hil.report.axis import LEFT, RIGHT, WIDTH, Panel, Span, columns, engineering, nice, panel
from hil.report.figures import Figures

ROW, CURRENT, CHARGE, BETWEEN, BELOW = 17, 190, 64, 24, 26
BARS = 24
LETTER = 8
"""Width of a letter of a label, in pixels, at most."""


def span(test: Test) -> Span:
    """From the first to the last moment that the evidence of a test knows."""
    times = [
        *(pulse.at_us for channel in test.channels for pulse in channel.pulses),
        *(step.at_us for channel in test.channels for step in channel.commanded),
        *(at_us for each in test.injections for at_us in (each.at_us, each.until_us) if at_us is not None),
        *(chunk.at_us for chunk in test.serial),
        *(message.at_us for message in test.mqtt),
    ]
    return Span(min(times, default=0), max(times, default=0))


def draw(test: Test, channel: Channel) -> str:
    """One channel of a test."""
    shown = span(test)
    rows = _rows(shown, test.injections)
    top = ROW * max((row for _, row in rows), default=-1) + ROW + 6
    peaks = [(pulse.at_us, max(pulse.first_ua, pulse.second_ua) / 1000) for pulse in channel.pulses]
    limit = [] if channel.limit_ua is None else [channel.limit_ua / 1000]
    told = [step.ua / 1000 for step in channel.commanded]
    current = panel(top, CURRENT, [*(ma for _, ma in peaks), *limit, *told], 5)
    charges = list(accumulate(pulse.charge_nc / 1000 for pulse in channel.pulses))
    charge = panel(current.bottom + BETWEEN, CHARGE, charges, 2)
    nets = list(accumulate(pulse.net_nc / 1000 for pulse in channel.pulses))
    residual = panel(charge.bottom + BETWEEN, CHARGE, nets, 2)
    at = [pulse.at_us for pulse in channel.pulses]
    height = residual.bottom + BELOW
    parts = (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words(channel))}">',
        *_bands(shown, rows, test.injections, residual.bottom),
        *_grid(current, "mA"),
        *_grid(charge, "\u00b5C"),
        *_grid(residual, "\u00b5C net"),
        *_seconds(shown, residual.bottom),
        *_bars(shown, current, peaks, limit),
        f'<path class="charge" d="{_line(shown, charge, list(zip(at, charges, strict=True)))}"/>',
        f'<path class="residual" d="{_line(shown, residual, list(zip(at, nets, strict=True)))}"/>',
        *_commanded(shown, current, channel),
        *_limit(current, limit),
        "</svg>",
    )
    return "\n".join(parts)


def words(channel: Channel) -> str:
    """What a channel delivered, in a sentence."""
    if not channel.pulses:
        return f"Channel {channel.number}: no current was delivered."
    peak_ua = max(max(pulse.first_ua, pulse.second_ua) for pulse in channel.pulses)
    over = [] if channel.limit_ua is None else [p for p in channel.pulses if max(p[1], p[2]) > channel.limit_ua]
    said = [
        f"Channel {channel.number}: {len(channel.pulses):,} pulses of at most {peak_ua / 1000:g} mA",
        "no limit was told" if channel.limit_ua is None else f"limit {channel.limit_ua / 1000:g} mA",
        f"charge {engineering(sum(pulse.charge_nc for pulse in channel.pulses), 'C')}",
        f"residual {engineering(sum(pulse.net_nc for pulse in channel.pulses), 'C')}",
    ]
    if over:
        said.insert(2, f"{len(over):,} pulses ABOVE THE LIMIT")
    if channel.dropped:
        said.append(f"{channel.dropped:,} earlier pulses were no longer held by the scope")
    return ", ".join(said) + "."


def histogram(of: Figures) -> str:
    """How often each value was measured, with the limits."""
    values = of.values
    step = nice(((values[-1] - values[0]) or abs(values[0]) or 1) / BARS)
    first = int(values[0] // step)
    counts: dict[int, int] = {}
    for value in values:
        number = int(value // step) - first
        counts[number] = counts.get(number, 0) + 1
    frame = panel(8, 120, counts.values(), 3)
    ends = sorted({end for pair in of.limits for end in pair if end is not None})
    low, high = min([first * step, *ends]), max([(first + max(counts) + 1) * step, *ends])

    def x(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    bars = (
        f'<rect class="bar" x="{x((first + number) * step)}" y="{frame.y(many)}" '
        f'width="{max(x((first + number + 1) * step) - x((first + number) * step) - 1, 1):.1f}" '
        f'height="{round(frame.bottom - frame.y(many), 1)}"/>'
        for number, many in counts.items()
    )
    marks = (
        f'<g class="limit"><line x1="{x(end)}" x2="{x(end)}" y1="{frame.top}" y2="{frame.bottom}"/>'
        f'<text x="{x(end)}" dx="{-4 if end > (low + high) / 2 else 4}" y="{frame.top + 10}" '
        f'text-anchor="{"end" if end > (low + high) / 2 else "start"}">limit {end:g}</text></g>'
        for end in ends
    )
    about = nice((high - low) / 8)
    ticks = (
        f'<text class="axis" x="{x(number * about)}" y="{frame.bottom + 16}" text-anchor="middle">'
        f"{number * about:.6g}</text>"
        for number in range(-int(-low // about), int(high // about) + 1)
    )
    label = f"{len(values)} values of {of.name} from {values[0]:g} to {values[-1]:g} {of.unit}"
    head = f'<svg viewBox="0 0 {WIDTH} {frame.bottom + BELOW}" role="img" aria-label="{escape(label)}">'
    return "\n".join((head, *_grid(frame, "n"), *bars, *marks, *ticks, "</svg>"))


def _rows(shown: Span, injections: Sequence[Injection]) -> list[tuple[float, int]]:
    """Where the label of each fault begins, and in which row, so that no two lie on each other."""
    ends: list[float] = []
    placed: dict[int, tuple[float, int]] = {}
    for number, each in sorted(enumerate(injections, 1), key=lambda pair: pair[1].at_us):
        wide = len(_label(number, each)) * LETTER
        x = min(shown.x(each.at_us), WIDTH - RIGHT - wide)
        row = next((row for row, end in enumerate(ends) if end <= x), len(ends))
        ends[row : row + 1] = [x + wide + LETTER]
        placed[number] = x, row
    return [placed[number] for number in sorted(placed)]


def _label(number: int, injection: Injection) -> str:
    return f"{number} {injection.fault}"


def _bands(shown: Span, rows: list[tuple[float, int]], injections: Sequence[Injection], bottom: float) -> Iterator[str]:
    for each, (_, row) in zip(injections, rows, strict=True):
        x, y = shown.x(each.at_us), (row + 1) * ROW
        wide = max(shown.x(shown.end_us if each.until_us is None else each.until_us) - x, 2)
        yield f'<rect class="fault" x="{x}" y="{y}" width="{wide:.1f}" height="{bottom - y:.1f}"/>'
        yield f'<line class="fault-edge" x1="{x}" x2="{x}" y1="{y}" y2="{bottom}"/>'
    for number, (each, (x, row)) in enumerate(zip(injections, rows, strict=True), 1):
        yield f'<text class="fault-name" x="{x:.1f}" y="{row * ROW + 12}">{escape(_label(number, each))}</text>'


def _grid(frame: Panel, unit: str) -> Iterator[str]:
    ticks = list(frame.ticks())
    for value in ticks:
        y = frame.y(value)
        text = f"{round(value, 9):g}{f' {unit}' if value == ticks[-1] else ''}"
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="axis" x="{LEFT - 6}" y="{y}" dy="0.35em" text-anchor="end">{text}</text>'


def _seconds(shown: Span, bottom: float) -> Iterator[str]:
    lasting = max(shown.end_us - shown.begin_us, 1) / 1e6
    step = nice(lasting / 8)
    for number in range(int(lasting / step + 1e-9) + 1):
        second = number * step
        x = shown.x(shown.begin_us + round(second * 1e6))
        text = f"{round(second, 9):g}{' s' if number == 0 else ''}"
        yield f'<line class="tick" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 5}"/>'
        yield f'<text class="axis" x="{x}" y="{bottom + 19}" text-anchor="middle">{text}</text>'


def _bars(shown: Span, frame: Panel, peaks: list[tuple[int, float]], limit: list[float]) -> Iterator[str]:
    paths = {"delivered": "", "beyond": ""}
    for x, values in columns(shown, peaks):
        greatest = max(values)
        kind = "beyond" if limit and greatest > limit[0] else "delivered"
        paths[kind] += f"M{x + 0.5} {frame.y(0)}V{frame.y(greatest)}"
    for kind, path in paths.items():
        if path:
            yield f'<path class="{kind}" d="{path}"/>'


def _line(shown: Span, frame: Panel, points: list[tuple[int, float]]) -> str:
    """Level until the next value, from zero at the left edge; all that a column holds is passed through."""
    path = [f"M{LEFT} {frame.y(0)}"]
    for x, values in columns(shown, points):
        turns = values if len(values) == 1 else (max(values), min(values), values[-1])
        path.append(f"H{x}" + "".join(f"V{frame.y(value)}" for value in turns))
    return "".join(path) + f"H{WIDTH - RIGHT}"


def _commanded(shown: Span, frame: Panel, channel: Channel) -> Iterator[str]:
    if channel.commanded:
        points = [(step.at_us, step.ua / 1000) for step in channel.commanded]
        yield f'<path class="commanded" d="{_line(shown, frame, points)}"/>'


def _limit(frame: Panel, limit: list[float]) -> Iterator[str]:
    for value in limit:
        y = frame.y(value)
        yield (
            f'<g class="limit"><line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text x="{WIDTH - RIGHT}" y="{y - 4}" text-anchor="end">limit {value:g} mA</text></g>'
        )
