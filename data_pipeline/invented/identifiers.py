"""Invented people, places and numbers, in the many ways that notes write them.

`IDENTIFIERS` is the list of slots that identify somebody: the label of the span in the de-identification gold, and the
class of the placeholder that stands for it in task texts. Telephone numbers are in the 555 exchange, mail is at
example domains.
"""

import datetime
import random
from dataclasses import dataclass

from data_pipeline.invented.lexicon import Lexicon
from data_pipeline.invented.span_text import SpanText
from data_pipeline.invented.templates import Slot
from data_pipeline.placeholders import PlaceholderClass, placeholder

IDENTIFIERS: dict[str, tuple[str, PlaceholderClass]] = {
    "patient": ("NAME", "NAME"),
    "first": ("NAME", "NAME"),
    "last": ("NAME", "NAME"),
    "initials": ("NAME", "NAME"),
    "kin": ("NAME", "NAME"),
    "staff": ("NAME", "NAME"),
    "colleague": ("NAME", "NAME"),
    "surname": ("NAME", "NAME"),
    "nurse": ("NAME", "NAME"),
    "date": ("DATE", "DATE"),
    "admit": ("DATE", "DATE"),
    "discharge": ("DATE", "DATE"),
    "dob": ("DATE", "DATE"),
    "before": ("DATE", "DATE"),
    "after": ("DATE", "DATE"),
    "mrn": ("ID", "MRN"),
    "account": ("ID", "ACCOUNT"),
    "ssn": ("ID", "SSN"),
    "accession": ("ID", "ID"),
    "phone": ("CONTACT", "PHONE"),
    "kin_phone": ("CONTACT", "PHONE"),
    "office": ("CONTACT", "PHONE"),
    "pager": ("CONTACT", "PHONE"),
    "email": ("CONTACT", "EMAIL"),
    "address": ("LOCATION", "LOCATION"),
    "town": ("LOCATION", "LOCATION"),
    "hospital": ("LOCATION", "HOSPITAL"),
    "clinic": ("LOCATION", "HOSPITAL"),
    "employer": ("LOCATION", "LOCATION"),
    "age": ("AGE", "AGE"),
}
"""Slot → (label of the gold span, class of the placeholder). Only ages above 89 identify."""

OLDEST_PLAIN_AGE = 89


@dataclass(frozen=True)
class Identity:
    """One invented patient: a row of the roster, and the people around."""

    subject_id: int
    first: str
    middle: str
    last: str
    birth: datetime.date
    mrn: str
    ssn: str
    phone: str
    street: str
    town: str
    email: str
    kin: str
    kin_phone: str
    employer: str

    @property
    def address(self) -> str:
        return f"{self.street}, {self.town}"


@dataclass(frozen=True)
class Staff:
    first: str
    last: str
    credential: str


@dataclass(frozen=True)
class Place:
    """A hospital with the people who write its notes."""

    hospital: str
    clinic: str
    staff: tuple[Staff, ...]


def invent_identity(rng: random.Random, lexicon: Lexicon, subject_id: int, age: int, seen: datetime.date) -> Identity:
    """A patient who is `age` years old on the day `seen`."""
    names = lexicon.identities
    first, last = rng.choice(names["first_names"]), rng.choice(names["last_names"])
    birth = seen - datetime.timedelta(days=round(age * 365.25) + rng.randint(10, 350))
    user = rng.choice((f"{first[0]}{last}", f"{first}.{last}", f"{last}{rng.randint(10, 99)}")).lower().replace("'", "")
    return Identity(
        subject_id=subject_id,
        first=first,
        middle=rng.choice("ABCDEFGHJKLMNPRSTW"),
        last=last,
        birth=birth,
        mrn=str(rng.randint(1_000_000, 99_999_999)),
        ssn=f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
        phone=_phone(rng),
        street=f"{rng.randint(3, 9899)} {rng.choice(names['street_names'])} {rng.choice(names['street_types'])}",
        town=f"{_town(rng, lexicon)}, {rng.choice(names['states'])} {rng.randint(10000, 99899)}",
        email=f"{user}@{rng.choice(names['mail_domains'])}",
        kin=f"{rng.choice(names['first_names'])} {last if rng.random() < 0.6 else rng.choice(names['last_names'])}",
        kin_phone=_phone(rng),
        employer=rng.choice(names["employers"]),
    )


def invent_place(rng: random.Random, lexicon: Lexicon) -> Place:
    names = lexicon.identities
    staff = tuple(
        Staff(
            rng.choice(names["first_names"]),
            rng.choice(names["word_like_last_names"] if rng.random() < 0.12 else names["last_names"]),
            rng.choice(("MD", "MD", "DO", "NP", "PA-C")),
        )
        for _ in range(16)
    )
    hospital = f"{rng.choice(names['hospital_starts'])} {rng.choice(names['hospital_ends'])}"
    return Place(hospital, f"{_town(rng, lexicon)} {rng.choice(('Clinic', 'Family Practice', 'Health Center'))}", staff)


class NoteIdentifiers:
    """The identifiers of one note: who it is about, who writes it, when. The same slot is written in varying ways."""

    def __init__(
        self, rng: random.Random, identity: Identity, place: Place, admit: datetime.date, note_date: datetime.date
    ) -> None:
        self._rng = rng
        self._who = identity
        self._place = place
        self._people = dict(zip(("staff", "colleague", "nurse"), rng.sample(place.staff, 3), strict=True))
        stay = max(2, (note_date - admit).days + rng.randint(0, 4))
        self._days = {
            "date": note_date,
            "admit": admit,
            "discharge": admit + datetime.timedelta(days=stay),
            "dob": identity.birth,
            "before": admit - datetime.timedelta(days=rng.randint(3, 900)),
            "after": note_date + datetime.timedelta(days=rng.randint(5, 60)),
        }
        self._date_style = rng.randrange(len(_DATE_STYLES))

    def fill(self, slot: str) -> Slot:
        """The slot as this note writes it this time."""
        if slot in self._days:
            return Slot(self._write_date(self._days[slot], is_birth=slot == "dob"), slot)
        if slot in self._people:
            return Slot(self._write_staff(self._people[slot]), slot)
        return Slot(getattr(self, f"_{slot}")(), slot)

    def _write_date(self, day: datetime.date, is_birth: bool) -> str:
        style = self._date_style if self._rng.random() < 0.7 else self._rng.randrange(len(_DATE_STYLES))
        if is_birth and style >= _FIRST_STYLE_WITHOUT_YEAR:
            style %= _FIRST_STYLE_WITHOUT_YEAR
        return _format_date(day, style)

    def _patient(self) -> str:
        who = self._who
        forms = (
            f"{who.first} {who.last}",
            f"{who.first} {who.last}",
            f"{who.last}, {who.first}",
            f"{who.first} {who.middle}. {who.last}",
            f"{who.first} {who.last}".upper(),
            f"{who.last.upper()}, {who.first.upper()} {who.middle}",
        )
        return self._rng.choice(forms)

    def _first(self) -> str:
        return self._who.first

    def _last(self) -> str:
        return self._who.last

    def _initials(self) -> str:
        return f"{self._who.first[0]}.{self._who.last[0]}."

    def _kin(self) -> str:
        return self._who.kin if self._rng.random() < 0.7 else self._who.kin.split(" ")[0]

    def _surname(self) -> str:
        return self._people["staff"].last

    def _mrn(self) -> str:
        return self._who.mrn

    def _account(self) -> str:
        return f"{self._rng.choice('AVHX')}{self._rng.randint(10**8, 10**9 - 1)}"

    def _accession(self) -> str:
        prefix = self._rng.choice(("RAD", "CT", "S", "US"))
        return f"{prefix}-{self._rng.randint(10, 31)}-{self._rng.randint(10000, 99999)}"

    def _ssn(self) -> str:
        return self._who.ssn

    def _phone(self) -> str:
        return self._who.phone

    def _kin_phone(self) -> str:
        return self._who.kin_phone

    def _office(self) -> str:
        return _phone(self._rng)

    def _pager(self) -> str:
        return self._rng.choice((f"{self._rng.randint(10000, 99999)}", f"x{self._rng.randint(1000, 9999)}"))

    def _email(self) -> str:
        return self._who.email

    def _address(self) -> str:
        return self._who.address

    def _town(self) -> str:
        return self._who.town.split(",")[0]

    def _hospital(self) -> str:
        return self._place.hospital

    def _clinic(self) -> str:
        return self._place.clinic

    def _employer(self) -> str:
        return self._who.employer

    def _age(self) -> str:
        return str(age_on(self._who.birth, self._days["date"]))

    def _write_staff(self, staff: Staff) -> str:
        return self._rng.choice(
            (
                f"{staff.first} {staff.last}",
                f"{staff.first} {staff.last}",
                f"{staff.first[0]}. {staff.last}",
                f"{staff.last}, {staff.first}",
            )
        )


def age_on(birth: datetime.date, day: datetime.date) -> int:
    """Completed years."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def label_spans(text: SpanText) -> list[dict[str, int | str]]:
    """The de-identification gold of a note: where every identifier is, and its label."""
    return [
        {"start": m.start, "end": m.end, "label": IDENTIFIERS[m.slot][0]}
        for m in text.mentions
        if m.slot in IDENTIFIERS
    ]


def redact(text: SpanText) -> str:
    """The note with a placeholder where every identifier was: what models train on."""
    parts, done = [], 0
    whole = text.text
    for mention in text.mentions:
        if mention.slot in IDENTIFIERS:
            parts += [whole[done : mention.start], placeholder(IDENTIFIERS[mention.slot][1])]
            done = mention.end
    return "".join([*parts, whole[done:]])


def _phone(rng: random.Random) -> str:
    area, line = rng.randint(201, 989), f"{rng.randint(0, 9999):04d}"
    return rng.choice((f"({area}) 555-{line}", f"{area}-555-{line}", f"{area}.555.{line}", f"555-{line}"))


def _town(rng: random.Random, lexicon: Lexicon) -> str:
    return rng.choice(lexicon.identities["town_starts"]) + rng.choice(lexicon.identities["town_ends"])


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
# strftime would follow the machine's locale; these do not.
_DATE_STYLES = (
    "{m:02d}/{d:02d}/{y}",
    "{y}-{m:02d}-{d:02d}",
    "{month} {d}, {y}",
    "{d} {month} {y}",
    "{m}/{d}/{yy:02d}",
    "{d:02d}{mon}{yy:02d}",
    "{mon} {d}, {y}",
    "{m}-{d}-{y}",
    "{m}/{d}",
    "{month} {d}{th}",
    "{mon} {d}",
)
_FIRST_STYLE_WITHOUT_YEAR = 8


def _format_date(day: datetime.date, style: int) -> str:
    month = _MONTHS[day.month - 1]
    th = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return _DATE_STYLES[style].format(
        d=day.day, m=day.month, y=day.year, yy=day.year % 100, month=month, mon=month[:3], th=th
    )
