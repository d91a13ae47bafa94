"""The people of a clinic: they ask, wait for answers, look at what is shown, and see a patient through a session."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any

from hil.body import Skin
from hil.simulate.computer import Computer
from hil.simulate.judge import Judge
from hil.simulate.plan import Act, Of, Rx, Seat
from hil.simulate.staff import Answer, Order, Shown, Staff, Wish
from hil.world import Bed, House, Published

PATIENCE_S = 12.0
"""How long somebody waits for an answer."""
ME = "physio"
"""Who works at a bed."""
RENEW_S = 2.0
"""How often a claim is renewed: it holds for five seconds."""
TRIES = 5
"""How often somebody asks again who had not seen the newest state, or whose session was paused by a rule."""


class People:
    """What all of them share: numbers for what they ask, and what they have read."""

    def __init__(self, house: House, staff: Staff, computer: Computer, judge: Judge) -> None:
        self.house = house
        self.staff = staff
        self.computer = computer
        self.judge = judge
        self.tally: Counter[str] = Counter()
        self.shown: dict[str, Shown] = {}
        self.orders: list[Order] = []
        self._number = 0
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._news = asyncio.Event()

    def heard(self, message: Published) -> None:
        """Take in what is published."""
        topic, payload = message.topic, message.payload
        if (answer := self.staff.answer(topic, payload)) is not None:
            waiting = self._waiting.get(answer.id)
            if answer.is_final and waiting is not None and not waiting.done():
                waiting.set_result(answer)
        elif (shown := self.staff.shown(topic, payload)) is not None:
            self.shown[shown.device] = shown
            self._news.set()

    def write(self, who: str, device: str, wish: Wish, of: Mapping[str, object]) -> Order:
        """Write down a wish; it is not sent."""
        self._number += 1
        wall_us = self.house.loop.now_us + self.house.wall_ahead_us
        return self.staff.order(who, device, wish, self._number, wall_us, self.shown.get(device), of)

    def send(self, who: str, device: str, wish: Wish, /, **of: object) -> Order:
        """Ask for something."""
        order = self.write(who, device, wish, of)
        self.orders.append(order)
        self.judge.asked(order, device, wish, is_sent=self.computer.is_reachable)
        self.computer.send(order)
        return order

    async def ask(self, who: str, device: str, wish: Wish, /, **of: object) -> Answer | None:
        """Ask, and wait for the answer; ask again where something newer was to be seen. None: there was none."""
        answer: Answer | None = None
        for _ in range(TRIES):
            order = self.send(who, device, wish, **of)
            future = self._waiting[order.id] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answer = await future
            except TimeoutError:
                return None
            finally:
                del self._waiting[order.id]
            if answer is None or not answer.seen_old:
                return answer
            await asyncio.sleep(0.1)
        return answer

    async def until(self, device: str, is_so: Callable[[Shown], bool], patience_s: float) -> bool:
        """Wait until a device is shown as asked; False: it was not."""
        try:
            async with asyncio.timeout(patience_s):
                while device not in self.shown or not is_so(self.shown[device]):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


class Operator:
    """Who works at a bed: one visit at a time."""

    def __init__(self, people: People, seat: Seat, bed: Bed, random: Random) -> None:
        self.people = people
        self.bed = bed
        self._device, self._kind = seat
        self._random = random
        self._busy = asyncio.Lock()
        self._is_renewing = True
        self._is_home = False
        self._running: set[asyncio.Task[None]] = set()

    def go_home(self) -> None:
        """End what runs."""
        self._is_home = True
        if (shown := self.people.shown.get(self._device)) and shown.session:
            self.send("stop")

    def send(self, wish: Wish, /, **of: object) -> Order:
        """Ask as the operator."""
        return self.people.send(ME, self._device, wish, **of)

    async def ask(self, wish: Wish, /, **of: object) -> bool:
        """Ask as the operator; tells whether it was done."""
        answer = await self.people.ask(ME, self._device, wish, **of)
        return answer is not None and answer.is_done

    def act(self, act: Act, refs: Mapping[str, str]) -> Coroutine[Any, Any, None] | None:
        """Do an act of the schedule, or give what it takes."""
        match act.kind:
            case "visit":
                return self._visit(act.of, refs)
            case "ask":
                self.send(act.of["wish"], **_rest(act.of, "wish"))
            case "rest":
                return self._rest(**act.of)
            case "button":
                return self._press(**act.of)
            case "mischief":
                return self._mischief(act.of["what"], act.of["wish"], **_rest(act.of, "what", "wish"))
            case _:
                raise ValueError(f"nobody knows how to {act.kind!r}")
        return None

    async def _rest(self, for_ms: int) -> None:
        """Pause, and go on."""
        if await self.ask("pause"):
            await asyncio.sleep(for_ms / 1000)
            await self.ask("resume")

    async def _press(self, for_ms: int) -> None:
        """The patient presses the stop button, where there is one, and lets it go."""
        button = self.bed.bench.device.button
        if button is None:
            return
        self.bed.emulator.touch()
        button.press(self.bed.bench.own_us)
        self.bed.emulator.touch()
        self.people.judge.pressed(self._device)
        await asyncio.sleep(for_ms / 1000)
        button.release()
        self.bed.emulator.touch()

    # A visit

    async def _visit(self, of: Of, refs: Mapping[str, str]) -> None:
        """See a patient through a session: from the claim to its end."""
        async with self._busy:
            if self._is_home:
                return
            rx = self.people.judge.prescriptions[of["rx"]]
            self._put_on(of)
            renewing = asyncio.get_running_loop().create_task(self._renew(of))
            try:
                await self._treat(rx, refs[rx.name], of)
            finally:
                renewing.cancel()
            self.send("release")

    def _put_on(self, of: Of) -> None:
        """Put the pads on the patient."""
        self.bed.emulator.touch()
        if not self.bed.bench.stage.relay_closed:
            self.bed.bench.device.reset(self.bed.bench.own_us, power=True)
        for body in self.bed.bench.bodies:
            body.skin = Skin()
        for number, skin in enumerate(of.get("skins", ())):
            self.bed.bench.bodies[number].skin = Skin(**skin)
        self.bed.emulator.touch()

    async def _renew(self, of: Of) -> None:
        """Keep the claim; an operator who goes away stops to."""
        while True:
            await asyncio.sleep(RENEW_S)
            shown = self.people.shown.get(self._device)
            if shown is not None and shown.session and (of.get("omit") != "claim" or shown.stage != "running"):
                self.send("renew")

    async def _treat(self, rx: Rx, ref: str, of: Of) -> None:
        people, device = self.people, self._device
        if not await people.until(device, lambda shown: shown.stage == "idle", 30):
            people.tally["visits in vain"] += 1
            return
        if not await self.ask("claim"):
            return
        await self._clear()
        people.judge.visited(device, rx, of)
        if not await self.ask(
            "prepare", rx=ref, patient=of.get("patient", rx.patient), **_given(of, "barcodes", "continues")
        ):
            return
        if of.get("omit") != "attest":
            await self.ask("attest", **_given(of, "answer"))
        if of.get("omit") != "button":
            await self._press(50)
            await asyncio.sleep(0.5)
        if of.get("omit") != "check":
            await self.ask("check")
        if how := of.get("calibrate"):
            await self._calibrate(how)
            return
        await self._begin(of)

    async def _begin(self, of: Of) -> None:
        """Arm and start, and stay with the patient."""
        armed = await self.ask("arm")
        if armed and of.get("omit") == "start":
            await asyncio.sleep(70)
        if armed and await self.ask("start"):
            await self._see_through(of)
        else:
            await self._give_up()

    async def _calibrate(self, how: str) -> None:
        """Look for the first threshold of a channel: the button is pressed once a second, and held, or let go."""
        if await self.ask("begin", channel=1):
            for _ in range(6):
                self.send("step", delta_ua=1_000)
                for _ in range(4):
                    await asyncio.sleep(0.24)
                    self.send("step", delta_ua=0)
            if how == "let go":
                await asyncio.sleep(3)
            await self.ask("mark", threshold="sensory")
            await self.ask("end")
        await self._give_up()

    async def _give_up(self) -> None:
        """End a session that cannot go on."""
        self.send("stop")
        await self.people.until(self._device, lambda shown: not shown.session, 10)

    async def _see_through(self, of: Of) -> None:
        """Do what is due while a session runs, and help where a rule has paused it."""
        people, device = self.people, self._device
        duties = asyncio.get_running_loop().create_task(self._duties(of))
        try:
            for _ in range(TRIES):
                await people.until(device, lambda shown: shown.stage != "running", 7_200)
                if await people.until(device, lambda shown: not shown.session, 5 + of.get("ponder_ms", 0) / 1000):
                    return
                await self._clear()
                if people.shown[device].stage == "paused" and not await self.ask("resume"):
                    await asyncio.sleep(5)
                    await self.ask("check")
                    await self.ask("resume")
            await self._give_up()
        finally:
            duties.cancel()

    async def _duties(self, of: Of) -> None:
        """Look after the patient, as often as somebody careful does."""
        omit = of.get("omit")
        while True:
            await asyncio.sleep(of.get("care_ms", 50_000) / 1000)
            if omit != "present":
                self.send("present")
            if omit != "rate":
                self.send("rate", what="effort", score=4)
            if omit != "look":
                self.send("look")

    async def _clear(self) -> None:
        """Have latches cleared by whoever may; who does not work at this bed takes the device for it."""
        shown = self.people.shown.get(self._device)
        for who in sorted({latch.who for latch in shown.latches} if shown else ()):
            if who != ME:
                await self.ask("release")
                await self.people.ask(who, self._device, "claim")
            for latch in shown.latches if shown else ():
                if latch.who == who:
                    await self.people.ask(who, self._device, "clear", latch=latch.id)
            if who != ME:
                await self.people.ask(who, self._device, "release")
                await self.ask("claim")

    # Mischief

    async def _mischief(self, what: str, wish: Wish, /, late_ms: int = 0, **of: object) -> None:
        """An integrator who is impatient, or whose program is broken."""
        people, last = self.people, self.people.orders[-1] if self.people.orders else None
        match what:
            case "out of turn":
                self.send(wish, **of)
            case "duplicate" if last is not None:
                for _ in range(3):
                    self._again(last)
            case "replay" if last is not None:
                order = self._random.choice(people.orders[-200:])
                self._again(order)
            case "late":
                order = people.write(ME, self._device, wish, of)
                await asyncio.sleep(late_ms / 1000)
                self._again(order, wish)
            case "retained":
                order = people.write(ME, self._device, wish, of)
                self._again(order, wish, retained=True)
            case "malformed":
                order = people.write(ME, self._device, wish, of)
                for payload in spoiled(order.payload, self._random):
                    people.house.hear(order.topic, payload)
            case "stranger":
                self.people.send("nobody", self._device, wish, **of)

    def _again(self, order: Order, wish: Wish | str = "", *, retained: bool = False) -> None:
        self.people.judge.asked(order, self._device, wish, is_sent=self.people.computer.is_reachable)
        self.people.computer.send(order, retained=retained)


def spoiled(payload: bytes, dice: Random) -> list[bytes]:
    """Messages that are none, made of one that is."""
    cut = payload[: dice.randrange(len(payload))]
    at = dice.randrange(len(payload))
    turned = payload[:at] + bytes([payload[at] ^ 1 << dice.randrange(8)]) + payload[at + 1 :]
    return [cut, turned, payload.replace(b": ", b": 9e99, ", 1), dice.randbytes(40), b"", payload + payload]


def _given(of: Of, *keys: str) -> Of:
    return {key: of[key] for key in keys if key in of}


def _rest(of: Of, *keys: str) -> Of:
    return {key: value for key, value in of.items() if key not in keys}
