"""Which of a patient's notes is the later one, from whatever its source gives as a date."""

import datetime
import re

from data_pipeline.patients import order_offset

UNKNOWN = -(1 << 62)
"""Before every date: among copies, one that has a date stays rather than one that has none."""

_ISO = re.compile(r"\s*(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d))?)?")
_AMERICAN = re.compile(r"\s*(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d\d):(\d\d)(?::(\d\d))?)?")


def seconds_of(date: str) -> int:
    """Seconds since the year 1 of 2150-01-31, 2150-01-31T08:30:00, 20150131 or 1/31/2015; else UNKNOWN."""
    if match := _ISO.match(date):
        year, month, day, *time = match.groups()
    elif match := _AMERICAN.match(date):
        month, day, year, *time = match.groups()
    else:
        return UNKNOWN
    try:
        hour, minute, second = (int(part or 0) for part in time)
        moment = datetime.datetime(int(year), int(month), int(day), hour, minute, second)
    except ValueError:
        return UNKNOWN
    return int((moment - datetime.datetime.min).total_seconds())


def order_of(date: str, key: bytes, patient_id: str) -> int:
    """A number that orders the notes of one patient and, moved by a secret amount for each, tells no date."""
    seconds = seconds_of(date)
    return seconds if seconds == UNKNOWN else seconds + order_offset(key, patient_id)
