"""One session as an inline SVG: commanded current as a wide grey road, delivered current as a thin line on it."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain
from typing import NamedTuple

from .recording import Pulse, Recording
from .verdict import Accident, milliampere

WIDTH, HEIGHT = 960, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 42, 34
LABEL_ROWS = (14, 31)
CLEAR = 12
"""Room above the highest grid line where there are no labels."""
TICK_S, TICK_UA = 2, 5_000
APART_PERIODS = 3
"""Pulses further apart than so many periods belong to different trains."""


class Mark(NamedTuple):
    """A moment worth a line and a word: the row of its label, whether it stands before the line, and its style."""

    at_us: int
    words: str
    row: int
    before: bool
    style: str


class Frame(NamedTuple):
    """Where moments and currents lie in the picture."""

    start_us: int
    lasting_us: int
    top_ua: int

    @classmethod
    def of(cls, recording: Recording) -> "Frame":
        """Give the whole therapy and a little more than its set-point; without any current, what was watched."""
        lasting_us = recording.programme.therapy_ms * 1000
        start_us = recording.end_us - lasting_us if recording.start_us is None else recording.start_us
        return cls(start_us, lasting_us, (recording.plan.ua // TICK_UA + 1) * TICK_UA)

    def x(self, at_us: int) -> float:
        """Place a moment of the boot clock; what lies outside is placed at the edge."""
        inside_us = min(max(at_us - self.start_us, 0), self.lasting_us)
        return round(LEFT + inside_us / self.lasting_us * (WIDTH - LEFT - RIGHT), 1)

    def y(self, ua: int) -> float:
        """Place a current."""
        return round(HEIGHT - BOTTOM - ua / self.top_ua * (HEIGHT - TOP - BOTTOM), 1)


def svg(title: str, recording: Recording, accident: Accident | None = None, rule: str = "") -> str:
    """Draw a session; `rule` names what stopped it, "" where nothing did."""
    frame = Frame.of(recording)
    top = 0 if accident else TOP - CLEAR
    return "\n".join(
        (
            f'<svg viewBox="0 {top} {WIDTH} {HEIGHT - top}" role="img" aria-label="{escape(title)}">',
            *axes(frame),
            *(shade(frame, accident) if accident else ()),
            f'<path class="commanded" d="{road(frame, recording)}"/>',
            *(hazards(frame, recording, accident) if accident else ()),
            f'<path class="delivered" d="{line(frame, recording)}"/>',
            *(drawn(frame, mark) for mark in (marks(recording, accident, rule) if accident else ())),
            "</svg>",
        )
    )


def axes(frame: Frame) -> Iterator[str]:
    """Draw a line and a figure for each current, a tick and a figure for each time."""
    for ua in range(0, frame.top_ua + 1, TICK_UA):
        y, unit = frame.y(ua), " mA" if ua == frame.top_ua else ""
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="axis" x="{LEFT - 7}" y="{y}" dy="0.35em" text-anchor="end">{ua // 1000}{unit}</text>'
    for second in range(0, frame.lasting_us // 1_000_000 + 1, TICK_S):
        x, unit = frame.x(frame.start_us + second * 1_000_000), " s" if second == 0 else ""
        yield f'<line class="tick" x1="{x}" x2="{x}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}"/>'
        yield f'<text class="axis" x="{x}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle">{second}{unit}</text>'


def shade(frame: Frame, accident: Accident) -> Iterator[str]:
    """Shade the time in which the pad is off."""
    left, right = frame.x(accident.off_us), frame.x(accident.on_us)
    size = f'width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}"'
    yield f'<rect class="off" x="{left}" y="{TOP}" {size}/>'


def road(frame: Frame, recording: Recording) -> str:
    """Write the path of what was commanded: level until the next command."""
    steps = "".join(f"H{frame.x(at_us)}V{frame.y(ua or 0)}" for at_us, ua in recording.commands)
    return f"M{frame.x(frame.start_us)} {frame.y(0)}{steps}H{frame.x(recording.end_us)}"


def line(frame: Frame, recording: Recording) -> str:
    """Write the path of what came out: along the peaks of the pulses, at zero between trains of them."""
    corners = chain.from_iterable(hill(frame, train) for train in trains(recording.therapy, recording.plan.period_us))
    return f"M{frame.x(frame.start_us)} {frame.y(0)}{''.join(corners)}L{frame.x(recording.end_us)} {frame.y(0)}"


def hazards(frame: Frame, recording: Recording, accident: Accident) -> Iterator[str]:
    """Fill what flowed after the electrode had come off."""
    for train in trains(recording.after(accident.off_us), recording.plan.period_us):
        yield f'<path class="hazard" d="M{"".join(hill(frame, train))[1:]}Z"/>'


def hill(frame: Frame, train: Sequence[Pulse]) -> Iterator[str]:
    """Write one train of pulses, up from zero and down to zero."""
    yield f"L{frame.x(train[0].at_us)} {frame.y(0)}"
    yield from (f"L{frame.x(pulse.at_us)} {frame.y(pulse.peak_ua)}" for pulse in train)
    yield f"L{frame.x(train[-1].at_us)} {frame.y(0)}"


def trains(pulses: Sequence[Pulse], period_us: int) -> list[list[Pulse]]:
    """Cut pulses into trains without a gap."""
    found: list[list[Pulse]] = []
    for pulse in pulses:
        if not found or pulse.at_us - found[-1][-1].at_us > APART_PERIODS * period_us:
            found.append([])
        found[-1].append(pulse)
    return found


def marks(recording: Recording, accident: Accident, rule: str) -> Iterator[Mark]:
    """Name the moments of an accident."""
    yield Mark(accident.off_us, "electrode off", 0, before=True, style="moment")
    back = recording.after(accident.on_us)
    if back:
        words = f"pressed on again: {milliampere(back[0].peak_ua)} at once"
        yield Mark(accident.on_us, words, 0, before=False, style="alarm")
    else:
        yield Mark(accident.on_us, "pressed on again", 0, before=False, style="moment")
    if rule and recording.stop_us is not None:
        late_ms = (recording.stop_us - accident.off_us) // 1000
        yield Mark(recording.stop_us, f"stopped by {rule} after {late_ms} ms", 1, before=True, style="alarm")


def drawn(frame: Frame, mark: Mark) -> str:
    """Draw a mark: a line from its label down to the axis."""
    x, label_y = frame.x(mark.at_us), LABEL_ROWS[mark.row]
    anchor, shift = ("end", -5) if mark.before else ("start", 5)
    return (
        f'<g class="{mark.style}"><line x1="{x}" x2="{x}" y1="{label_y - 10}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text x="{x}" dx="{shift}" y="{label_y}" text-anchor="{anchor}">{escape(mark.words)}</text></g>'
    )
