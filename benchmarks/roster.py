"""A roster of people who do not exist, with names as frequent as the US census says."""

import csv
import datetime
import itertools
import random
from pathlib import Path

from data_pipeline.files import atomic_write

_COLUMNS = ("SUBJECT_ID", "FIRST_NAME", "LAST_NAME", "DOB", "MRN", "SSN", "PHONE", "ADDRESS")
_STREETS = ("Oak", "Maple", "Cedar", "Washington", "Lake", "Hill", "Walnut", "Spring", "North", "Ridge")
_FIRST_DAY = datetime.date(1925, 1, 1)


def write_roster(path: Path, patients: int) -> None:
    """Write a CSV of `patients` rows. No note knows them: what is measured is the search for them."""
    import names

    rng = random.Random(0)
    first_names = _drawn(rng, names.FILES["first:female"], patients)
    last_names = _drawn(rng, names.FILES["last"], patients)
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for number, (first, last) in enumerate(zip(first_names, last_names, strict=True)):
            birth = _FIRST_DAY + datetime.timedelta(days=rng.randrange(35_000))
            ssn = f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"
            phone = f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{rng.randint(1000, 9999)}"
            address = f"{rng.randint(3, 9899)} {rng.choice(_STREETS)} Street, Springfield {rng.randint(10000, 99899)}"
            mrn = rng.randint(1_000_000, 99_999_999)
            writer.writerow((f"roster-{number}", first, last, birth.isoformat(), mrn, ssn, phone, address))


def _drawn(rng: random.Random, path: str, count: int) -> list[str]:
    """Lines of the list are a name, its share, the shares so far, its rank."""
    lines = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    shares = list(itertools.accumulate(float(line[1]) for line in lines))
    return [line[0].title() for line in rng.choices(lines, cum_weights=shares, k=count)]
