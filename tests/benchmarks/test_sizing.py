"""The sizing table is what the measured rates come to, and the page shows the table of the results beside it."""

from pathlib import Path

import pytest

from benchmarks.corpus import RESULTS
from benchmarks.sizing import Rates, rates_of, table
from data_pipeline.files import read_json

RATES = Rates(
    bytes_a_note=2_000,
    shared_out_s_per_mb=0.18,
    sequential_s_per_mb=0.018,
    grouping_s_per_note=36e-6,
    work_share=1.5,
    result_share=0.25,
    worker_mb=300,
    near_mb=200,
    near_notes=1_000_000,
    near_bytes_a_note=8,
)


def test_only_what_workers_share_is_divided_by_cores():
    assert RATES.core_hours(1_000_000) == pytest.approx((0.1, 0.01 + 0.01))
    assert RATES.wall_hours(1_000_000, 1) == pytest.approx(0.12)
    assert RATES.wall_hours(1_000_000, 10) == pytest.approx(0.03)


def test_memory_of_grouping_grows_with_the_notes_beyond_those_measured():
    assert RATES.grouping_mb(1_000) == RATES.grouping_mb(1_000_000) == 200
    assert RATES.grouping_mb(290_000_000) == pytest.approx(200 + 289 * 8)


def test_rates_come_from_the_results():
    results = {
        "compare": {
            "text": {"bytes_a_note": 1_000.0},
            "sides": {
                "ours": {
                    "mb_per_cpu_second_amortised": 5.0,
                    "stages": {
                        "start: imports": {"cpu_seconds": 99.0},
                        "de-identify": {"cpu_seconds": 6.0},
                        "read": {"cpu_seconds": 1.0},
                        "group duplicates": {"cpu_seconds": 1.0},
                    },
                }
            },
        },
        "grouping": {
            "near": [
                {"notes": 100, "cpu_seconds": 0.001, "peak_mb": 100.0, "before_mb": 40.0},
                {"notes": 1_000_100, "cpu_seconds": 10.001, "peak_mb": 110.0, "before_mb": 40.0},
            ],
            "exact": [{"notes": 20_000_000, "cpu_seconds": 20.0, "peak_mb": 840.0, "before_mb": 40.0}],
        },
        "memory": {
            "runs": [
                {"text_mb": 10.0, "workers": 1, "disk_mb": 15.0, "result_mb": 3.0, "worker_mb": 30.0},
                {"text_mb": 10.0, "workers": 2, "disk_mb": 14.0, "result_mb": 3.0, "worker_mb": 250.0},
            ]
        },
    }
    rates = rates_of(results)
    assert rates.shared_out_s_per_mb == pytest.approx(0.2 * 6 / 8)
    assert rates.sequential_s_per_mb == pytest.approx(0.2 * 1 / 8)
    # On the real text 25 microseconds a note; on generated sketches and digests 11.
    assert rates.grouping_s_per_note == pytest.approx(25e-6)
    assert (rates.work_share, rates.result_share, rates.worker_mb) == (1.5, 0.3, 250)
    assert rates.near_bytes_a_note == pytest.approx(10)


def test_the_page_shows_the_table_of_the_results():
    page = (Path(__file__).parents[2] / "docs" / "corpus.md").read_text(encoding="utf-8")
    assert table(rates_of(read_json(RESULTS, "results file"))) in page
