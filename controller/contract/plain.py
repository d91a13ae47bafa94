"""Commands in plain text, for a controller that can write no JSON: `START rx-77 7F3C-91D0`.

The topic says site, device, sender and verb; the text repeats the verb as a word and adds what else there is. What lets
something begin, or go on, bears a nonce, which makes up for the times and for `expect`.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from safety.messages import Now, Verb

from .bodies import STATUS, Body
from .envelope import FRESH_MS, MAX_BYTES, Arrival, Envelope, Fault, Question, RefusedError, judge, utc_text
from .topics import CommandTopic


class Form(NamedTuple):
    """How a verb is written: its word, the field of the body that follows it, and whether a nonce ends it."""

    word: str
    field: str = ""
    has_nonce: bool = False

    def __str__(self) -> str:
        return " ".join(part for part in (self.word, self.field, "nonce" if self.has_nonce else "") if part)


FORMS: Mapping[str, Form] = {
    Verb.CLAIM: Form("CLAIM", has_nonce=True),
    Verb.RENEW: Form("RENEW", has_nonce=True),
    Verb.RELEASE: Form("RELEASE"),
    Verb.START: Form("START", "prescription_id", has_nonce=True),
    Verb.PAUSE: Form("PAUSE"),
    Verb.STOP: Form("STOP"),
    "stop": Form("STOP"),
    STATUS: Form("STATUS"),
}
"""The verbs that can be written as text."""


def is_plain(payload: bytes) -> bool:
    """Tell a text from JSON and from a signature: neither begins with a capital letter."""
    return payload[:1].isupper()


def read_plain(arrival: Arrival, where: CommandTopic, site: str, now: Now) -> tuple[Envelope, Body | Question]:
    """Read a text as the command that it stands for. Raises RefusedError with CMD.TOO_LARGE or CMD.SCHEMA."""
    if len(arrival.payload) > MAX_BYTES:
        raise RefusedError("CMD.TOO_LARGE", (Fault("", f"{len(arrival.payload)} bytes; at most {MAX_BYTES}"),))
    form, words = FORMS.get(where.verb), arrival.payload.decode("ascii", "replace").split()
    if form is None or len(words) != len(str(form).split()) or words[0] != form.word:
        expected = f"the text of {where.verb} is {form}" if form else "this verb has no text: write JSON"
        raise RefusedError("CMD.SCHEMA", (Fault("", expected),))
    data: dict[str, object] = {
        "schema": "stim.command/1",
        "command_id": _id(arrival, None if form.has_nonce else now),
        "verb": where.verb,
        "site": site,
        "device": where.device,
        "issuer": where.principal,
        "body": {form.field: words[1]} if form.field else {},
    }
    if form.has_nonce:
        data["nonce"] = words[-1]
    else:
        data |= {"issued_at": utc_text(now.wall_ms), "expires_at": utc_text(now.wall_ms + FRESH_MS)}
    return judge(data)


def _id(arrival: Arrival, now: Now | None) -> str:
    """Give a text an id: the same text with the same nonce is the same command, one without a nonce is a new one."""
    when = b"" if now is None else b"\0%d\0%d" % now
    word = sha256(arrival.topic.encode() + b"\0" + arrival.payload + when).hexdigest()
    return f"{word[:8]}-{word[8:12]}-7{word[12:15]}-8{word[15:18]}-{word[18:30]}"
