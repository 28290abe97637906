"""The text of the benchmarks: of the size that was asked for, with copies and without, the same every time."""

import json

import pytest

from benchmarks.text import TextRow, read_sources, scaled, write_rows
from data_pipeline.invented import write_invented


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    paths = write_invented(folder, 60, 1)
    return read_sources([f"noteevents:{paths['noteevents']}", f"jsonl:{paths['jsonl']}"], folder)


def test_rows_come_to_about_the_size_asked_for(sources, tmp_path):
    whole = sum(len(row.text.encode()) for rows in sources for row in rows)
    for share in (0.5, 1.0, 2.5):
        size = write_rows(tmp_path / "rows.jsonl", sources, round(share * whole))
        rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
        assert size.notes == len(rows)
        assert size.text_bytes == sum(len(row["text"].encode()) for row in rows)
        assert size.text_bytes == pytest.approx(share * whole, rel=0.2)
        assert len({row["id"] for row in rows}) == len(rows)


def test_a_part_keeps_copies_together(sources):
    whole = sum(len(row.text.encode()) for rows in sources for row in rows)
    taken = {row.text for row in scaled(sources, whole // 2)}
    ids = {row.id for row in scaled(sources, whole // 2)}
    assert 0 < len(taken) < len({row.text for rows in sources for row in rows})
    assert all((row.id in ids) == (row.text in taken) for rows in sources for row in rows)


def test_a_second_round_has_copies_changed_copies_and_new_notes(sources):
    first = {row.id: row for rows in sources for row in rows}
    whole = sum(len(row.text.encode()) for row in first.values())
    second = [row for row in scaled(sources, 2 * whole) if row.id not in first]
    origins = [first[row.id.removesuffix("-1")] for row in second]
    exact = [row.text == origin.text for row, origin in zip(second, origins, strict=True)]
    of_patient = [row.patient == origin.patient for row, origin in zip(second, origins, strict=True)]
    assert len(second) == len(first)
    assert 0.10 < sum(exact) / len(second) < 0.20
    assert 0.33 < sum(of_patient) / len(second) < 0.47
    assert all(kept for kept, is_exact in zip(of_patient, exact, strict=True) if is_exact)


def test_dates_stay_dates():
    row = TextRow("1", "p", "t", "", "Seen on 03/17/2015 and 12/31/2019. " * 20)
    other = TextRow("2", "q", "t", "", "Given 5 mg on 01/02/2014. " * 20)
    texts = [new.text for new in scaled([[row, other] * 20], 60_000) if new.id.endswith("-1")]
    import re

    dates = [tuple(map(int, date)) for text in texts for date in re.findall(r"(\d+)/(\d+)/(\d+)", text)]
    assert len(dates) > 500
    assert all(1 <= month <= 12 and 1 <= day <= 31 and 1950 <= year <= 2030 for month, day, year in dates)
