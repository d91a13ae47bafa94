"""Who may ask: the principals file, which names people and machines with their role, devices, keys and limits."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from controller.contract.envelope import EPOCH
from controller.contract.topics import ID, is_id
from controller.tomlfile import FileError, Problem, faults_of, key_text, read_toml, shown
from safety.messages import Wish

from .ceilings import NONE, Ceilings
from .keys import ALWAYS, KID, Alg, Key, Secret, Span
from .roles import Role, may_ask

ANY_DEVICE = "*"
DEVICES_WORDS = f'a list of device ids, or ["{ANY_DEVICE}"] for every device'
TIME_WORDS = "a date and time with its offset, such as 2027-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that may ask: a name the broker knows, a role, the devices it may use, and its keys."""

    name: str
    role: Role
    devices: frozenset[str]
    keys: Mapping[str, Key] = field(default_factory=dict)
    limits: Ceilings = NONE
    span: Span = ALWAYS
    revoked: bool = False

    def may_use(self, device: str) -> bool:
        """Tell whether the device lies in this principal's scope."""
        return device in self.devices or ANY_DEVICE in self.devices

    def may_ask(self, verb: str, wish: Wish | None) -> bool:
        """Tell whether the role covers the verb. The status is no wish: None."""
        return may_ask(self.role, verb, wish)

    def is_good(self, wall_ms: int) -> bool:
        """Tell whether anything may be asked in this name at a time."""
        return not self.revoked and self.span.holds(wall_ms)


def _device_ids(names: list[str]) -> list[str]:
    if not all(name == ANY_DEVICE or is_id(name) for name in names):
        raise ValueError(DEVICES_WORDS)
    return names


class Form(BaseModel):
    """A part of the file: strict types, and no key that is not named here."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Dated(Form):
    """What can run out, or be taken back."""

    valid_from: AwareDatetime | None = Field(default=None, description=TIME_WORDS)
    valid_until: AwareDatetime | None = Field(default=None, description=TIME_WORDS)
    revoked: bool = Field(default=False, description="true or false")

    @property
    def span(self) -> Span:
        """From when until when it is valid."""
        return Span(_ms(self.valid_from), _ms(self.valid_until))


class KeyForm(Dated):
    """[[principal.key]]: a key that messages of this principal may be signed with."""

    kid: str = Field(pattern=f"^{KID}$", description="1 to 64 of letters, digits, dot, - and _")
    alg: Annotated[Alg, Field(strict=False)] = Field(description=f"one of {', '.join(Alg)}")
    public: str | None = Field(default=None, description="what `stimwarden keys show` prints of an Ed25519 key")
    secret_file: Annotated[Path, Field(strict=False)] | None = Field(
        default=None, description="the path of the key file that an HS256 key shares with its sender"
    )


class LimitsForm(Form):
    """[principal.limits]: what this principal may not pass, whatever the prescription allows."""

    max_ua: int | None = Field(default=None, ge=0, description="a whole number of microamperes")
    max_width_us: int | None = Field(default=None, ge=0, description="a whole number of microseconds")
    max_therapy_ms: int | None = Field(default=None, ge=0, description="a whole number of milliseconds")


class PrincipalForm(Dated):
    """[[principal]]: somebody or something that may ask."""

    name: str = Field(pattern=f"^{ID}$", description="1 to 32 of a-z, 0-9 and -")
    role: Annotated[Role, Field(strict=False)] = Field(description=f"one of {', '.join(Role)}")
    devices: Annotated[list[str], AfterValidator(_device_ids)] = Field(description=DEVICES_WORDS)
    key: list[KeyForm] = Field(default_factory=list, description="[[principal.key]] tables of kid, alg and the key")
    limits: LimitsForm = Field(default=LimitsForm(), description="a table of max_ua, max_width_us, max_therapy_ms")


class Sheet(Form):
    """The whole file."""

    principal: list[PrincipalForm] = Field(min_length=1, description="[[principal]] tables of name, role and devices")


def read_principals(path: Path) -> dict[str, Principal]:
    """Read a file of `[[principal]]` tables. Raises FileError, which names all that is wrong."""
    return principals_of(path, read_toml(path))


def principals_of(path: Path, tables: Mapping[str, object]) -> dict[str, Principal]:
    """Make principals of what a file says; the files of shared keys are looked for beside it. Raises FileError."""
    try:
        forms = Sheet.model_validate(tables).principal
    except ValidationError as error:
        found = faults_of(error, Sheet)
        raise FileError(Problem(str(path), key_text(each.place), each.found, each.expected) for each in found) from None
    problems: list[object] = [Problem(str(path), "name", *_twice(name)) for name in _repeated(f.name for f in forms)]
    principals = {}
    for number, form in enumerate(forms):
        keys = []
        for at, key in enumerate(form.key):
            try:
                keys.append(_key(path.parent, key))
            except FileError as error:
                problems.append(error)
            except _KeyFault as fault:
                problems.append(Problem(str(path), key_text(("principal", number, "key", at, fault.name)), *fault.args))
        principals[form.name] = Principal(
            form.name,
            form.role,
            frozenset(form.devices),
            {key.kid: key for key in keys},
            Ceilings(form.limits.max_ua, form.limits.max_width_us, form.limits.max_therapy_ms),
            form.span,
            form.revoked,
        )
    kids = _repeated(key.kid for form in forms for key in form.key)
    problems += [Problem(str(path), "kid", *_twice(kid)) for kid in kids]
    if not problems:
        prints = Counter(key.print for principal in principals.values() for key in principal.keys.values())
        owners = {key.print: key.kid for principal in principals.values() for key in principal.keys.values()}
        # Who holds such a key could speak in another's name.
        problems += [
            Problem(str(path), f"kid = {shown(owners[each])}", "is a key that stands here twice", "each key once")
            for each, count in prints.items()
            if count > 1
        ]
    if problems:
        raise FileError(problems)
    return principals


class _KeyFault(Exception):  # noqa: N818 - a fault of the file, told with all others
    """What is wrong with one key: which of its keys in the table, what is there, and what was expected."""

    def __init__(self, name: str, found: str, expected: str) -> None:
        super().__init__(found, expected)
        self.name = name


def _key(folder: Path, form: KeyForm) -> Key:
    """Make a key. Raises FileError, _KeyFault."""
    if form.alg is Alg.ED25519:
        if form.secret_file is not None:
            raise _KeyFault("secret_file", "is set", "public: nobody but the sender has the secret of an Ed25519 key")
        if form.public is None:
            raise _KeyFault("public", "is missing", expected_of("public"))
        try:
            return Key.public(form.kid, form.public, form.span, revoked=form.revoked)
        except ValueError:
            raise _KeyFault("public", f"= {shown(form.public)}", expected_of("public")) from None
    if form.public is not None:
        raise _KeyFault("public", "is set", "secret_file: an HS256 key has no public half")
    if form.secret_file is None:
        raise _KeyFault("secret_file", "is missing", expected_of("secret_file"))
    secret = Secret.read(folder / form.secret_file)
    if (secret.kid, secret.alg) != (form.kid, form.alg):
        held = f"holds the {secret.alg.value} key {shown(secret.kid)}"
        raise _KeyFault("secret_file", held, f"the {form.alg.value} key {shown(form.kid)}")
    return Key(form.kid, form.alg, secret.jwk, secret.key.print, form.span, form.revoked)


def expected_of(name: str) -> str:
    """Say what a key's table expects under a name."""
    return str(KeyForm.model_fields[name].description)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // timedelta(milliseconds=1)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _twice(name: str) -> tuple[str, str]:
    return f"= {shown(name)}", "each name once"
