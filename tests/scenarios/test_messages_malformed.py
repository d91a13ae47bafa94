"""More than two hundred wrong messages in a running session: each gets its code, the patient notices nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from byhand import TOPICS, Hand, command
from house import PRINCIPALS, STEADY, House, now_us, steady, until

from tests.controller.wire import malformed

SENDERS = 40
JUNK = "".join(f'[[principal]]\nname = "junk-{n}"\nrole = "physio"\ndevices = ["*"]\n' for n in range(SENDERS))
WRONG_BUT_FORMED: list[tuple[str, dict[str, object], str]] = [
    ("CMD.TOPIC_MISMATCH", {"site": "ward4"}, TOPICS.command("dev1", "junk-0", "session.pause")),
    ("CMD.TOPIC_MISMATCH", {"device": "dev2"}, TOPICS.command("dev1", "junk-0", "session.pause")),
    ("CMD.TOPIC_MISMATCH", {"verb": "session.start"}, TOPICS.command("dev1", "junk-0", "session.pause")),
    ("AUTH.PRINCIPAL_MISMATCH", {}, TOPICS.command("dev1", "junk-1", "session.pause")),
    ("AUTH.UNKNOWN_KEY", {"issuer": "nobody"}, TOPICS.command("dev1", "nobody", "session.pause")),
    ("AUTH.ROLE", {"issuer": "auditor-1"}, TOPICS.command("dev1", "auditor-1", "session.pause")),
    ("AUTH.ROLE", {"issuer": "junk-2", "role": "biomed"}, TOPICS.command("dev1", "junk-2", "session.pause")),
    ("AUTH.SCOPE", {"issuer": "physio-3"}, TOPICS.command("dev1", "physio-3", "session.pause")),
    ("CMD.NONCE", {"issuer": "junk-3", "nonce": "7F3K-91"}, TOPICS.command("dev1", "junk-3", "session.pause")),
]
BEYOND = 25
"""So many at once are more than a sender is answered in a second, and in two."""


@pytest.mark.rule("G01")
@pytest.mark.hazard("H08")
@pytest.mark.hazard("H24")
@pytest.mark.hazard("H28")
async def test_every_malformed_message_is_answered_by_its_code_and_the_session_goes_on(house: House):
    bed = house.beds["dev1"]
    (house.folder / "principals.toml").write_text(PRINCIPALS + JUNK, encoding="utf-8")
    house.prescribe(steady("rx-2"))
    house.start()
    async with house.client() as client, Hand.at(house) as hand:
        await house.running(client, rx="rx-2@1")
        await house.flowing(peak_ua=20_000)
        begun_us, before = now_us(), client.summary("dev1")
        assert before is not None

        # No sender says more than ten wrong things, so that none is passed over in silence.
        wrong = [(code, payload) for code, payload in malformed() if payload]
        assert 200 <= len(wrong) <= 7 * SENDERS
        expected = {}
        for number, (code, payload) in enumerate(wrong):
            topic = TOPICS.command("dev1", f"junk-{number % SENDERS}", "session.start")
            expected[await hand.send(payload, topic)] = code
        for code, changes, topic in WRONG_BUT_FORMED:
            expected[await hand.send(command("session.pause", **changes), topic)] = code
        await until(lambda: all(hand.answers(number) for number in expected))
        answers = {number: [(one.status, one.code) for one in hand.answers(number)] for number in expected}
        assert answers == {number: [("rejected", code)] for number, code in expected.items()}

        # A sender who says too many at once: what is not answered is counted, and nothing is lost.
        flood = [await hand.send(b"junk", TOPICS.command("dev1", "physio-2", "session.start")) for _ in range(BEYOND)]
        await until(lambda: unanswered(house))
        told = [number for number in flood if hand.answers(number)]
        assert 10 <= len(told) < BEYOND
        await until(lambda: unanswered(house)["physio-2"] == BEYOND - len(told))
        refused = Counter(line["code"] for line in house.log() if line["event"] == "command.refused")
        assert refused == Counter(expected.values()) + Counter({"CMD.SCHEMA": len(told)})

        after = client.summary("dev1")
        assert after is not None
        assert (after.phase, after.state_version, after.latches) == ("running", before.state_version, [])
        assert await bed.rhythm(begun_us) == {STEADY}


def unanswered(house: House) -> Counter[str]:
    """How many refusals of each sender were counted in the place of an answer."""
    counts: Counter[str] = Counter()
    for line in house.log():
        if line["event"] == "commands.unanswered":
            counts[line["principal"]] += line["count"]
    return counts
