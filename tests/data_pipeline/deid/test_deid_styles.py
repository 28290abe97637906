"""The rules behind odd styles, one short line each; identifiers are marked as {{…}} and must go, the rest must stay."""

import re
import time

import pytest

from data_pipeline.deid.detect import find_phi
from data_pipeline.deid.repeats import repeated_names
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.view import plain_view, unscanned

MARKED = """\
IP No : {{IP/24-25/11873}}; lot {{HUFR0713}} of mesh; Board no. {{SLK-330918}}; GMC {{7718840}}; Tx ID {{KTX-2209-118}}
card ends in {{3302}}, mrn {{bb2209184}}, medicare {{4qx9-pj2-kd55}}, plate {{7KRD418}}, police report {{20-118834}}
Service number {{726 41 09}}. OHIP {{5847 302 196}}. Claim {{0042-118-88731}}. Login: {{isollber}}.
Session {{7f3ac9e2-51b0}}.
ext. {{12}}, Spectralink {{3-9926}}, x{{5-8830}}, fax {{(898)666-3621x0135}}.
mobile {{07700 900358}}, {{(07) 5550 4417}}
called at {{two seven zero five five five zero one one four}} today; date of birth {{ten nineteen nineteen thirty one}}
seen {{january 8th twenty twenty four}}, again {{the third of May, 2023}},
{{Saturday the thirteenth}} and on the {{twelfth}}.
since {{February}}, in {{August}}, this {{May}}; {{Palm Sunday}}, {{ANZAC Day}}, {{Diwali}},
{{Boxing Day 2023}}, {{halloween}}
{{6-xi-1988}}, {{1965-Aug-07}}, {{15/08/22}}, {{Sat 29/6}}, {{12 de marzo de 1961}},
{{JUN 30,1926}}, {{6/12/2020}}-{{6/15/2020}}
She turned {{97}} and her sister is {{104}}. His father died at {{93}}. DOB 1926 ({{96}}).
lives at {{2260 Fawnview Loop, Creswell}}; {{County Road 6675}}; {{Alder St}}; {{Quarry Lane}};
{{114 Lumb Lane, Bradford BD8 7QW}}
Address: {{Flat 6, near Maramma Temple}}
{{Granite Valley Rehabilitation Institute}}; {{Cedar Bluff Imaging}}; {{Two Grey Hills High}}; went to {{Beaver Falls}}
from {{Baton Rouge}}, near {{Elberton}}, in {{Cook County}} and at {{St. Casimir's}} today
Patient goes by "{{Skip}}"; abuelita {{Chayo}}; Smt. {{Lakshmamma}}; TROOPER {{KOWALCZYK}}; caller: {{Priyanka}}
AUTHOR: {{MAGSAYSAY,ROWENA C}}. Sent by: {{lk}}. Bed 14: {{Lee}} 55F COPD.
thx so much, {{aditi}}
Seen {{Tues 19th}}; next {{11/OCT/2020}} and {{3-4 NOV 20}}; onset {{2017-03}}; stay {{4.-9.6.2019}}; {{Easter Monday}}
WBC 9.4 ({{5/6}}), glucose 110. Admitted {{3/19}}, drain out {{3/4}}. Shift {{12/31}} 2300-{{1/1}} 0700.
Kontrolle on {{24.9.}} bei uns; born {{4 März 1951}}; DOB: {{Fifth/06/2010}}
Mrs. {{Quenby}}, {{94}}, fell; her mother ({{96}} y) and aunt d. {{98}}.
Call {{(605)5550138}} or p {{44-8812}}. CLIA {{19D0662431}}, licence {{T654-4412-0918}}
badge {{2217}}, SSN {{***-**-8817}}.
Aadhaar {{4417 8823 9901}}; rounds at 0800 1200 1600 daily; image IMG_{{20190814_0033}}. Card ending {{4471}}.
DNI {{48.552.901-K}}
{{Lindenstraße 14, 79110 Freiburg}}; sent to {{4417 N Kedzie #2R}}; ship to {{77 Larkspur, Unit B}}
Hospital Course: treated at {{Hospital Comarcal de Laredo}}, then {{Swedish Covenant}} and {{Good Samaritan}}.
From {{Coeur d'Alene}} by bus; now at {{Sunrise of Bethesda}}.
Seen by {{E. Kilbane}} and {{Anneke de Vries-Boateng}}, then {{Landry}}/{{Fontenot}}; sisters {{Chaya}} and {{Tzipora}}.
Reviewed by: {{kkowalski}}. The {{Lindgrens}} brought him in. {{Wanda Eads}} RN gave it.
Tech.......: {{A.J. Mbeki}}
Dear {{Len}},
Signed by {{Dear, John}} and Rev. {{Hilliard}}, MSc.
Fax {{4l4-555-Ol67}} of {{O2/l4/2Ol9}}
"""


def split_marks(line: str) -> tuple[str, list[tuple[int, int]]]:
    text, spans = "", []
    for part in re.split(r"(\{\{.*?\}\})", line):
        value = part.removeprefix("{{").removesuffix("}}")
        if part.startswith("{{"):
            spans.append((len(text), len(text) + len(value)))
        text += value
    return text, spans


@pytest.mark.parametrize("part", ["2/3 a ", "1/3 seen\n", "Pain. (2/3) "])
def test_a_long_note_of_days_takes_linear_time(part: str) -> None:
    def seconds(times: int) -> float:
        begin = time.process_time()
        find_phi(part * times)
        return time.process_time() - begin

    # Reading the whole note again for each candidate would take 64 times as long.
    assert seconds(8_000) < 24 * max(seconds(1_000), 0.02)


def left_and_lost(text: str, marked: list[tuple[int, int]]) -> tuple[list[str], list[str]]:
    """Words of identifiers that were not found, and other words that were."""
    found = find_phi(text)
    words = [match.span() for match in re.finditer(r"[^\W_]+", text)]

    def touched(start: int, end: int, spans: list[tuple[int, int]]) -> bool:
        return any(a < end and start < b for a, b in spans)

    bounds = [(span.start, span.end) for span in found]
    left = [text[a:b] for a, b in words if touched(a, b, marked) and not touched(a, b, bounds)]
    lost = [text[a:b] for a, b in words if not touched(a, b, marked) and touched(a, b, bounds)]
    return left, lost


@pytest.mark.parametrize("line", MARKED.splitlines())
def test_what_is_marked_goes_and_the_rest_stays(line: str) -> None:
    assert left_and_lost(*split_marks(line)) == ([], [])


STAYS = """\
Berg 38, Katz 4/6, Morse 55, Braden 16, PHQ-9 12, GDS 3/15, MoCA 21/30, RV 26/5, PA 20/14, BiPAP 16/8, open 24/7.
RR 18, SpO2 98%, I-131 therapy, T1N0M0, T2N1 tumor, HLA-B27, COVID-19, IL-6, FEV1 1200 mL, images #10-14.
CPT code 77470, locking plate C3-C5.
Levothyroxine 0.088, Synthroid 0.088 mg, platelets 250000, WBC 12500, viral load 145000 copies, between 411 and 1248.
Simpson's biplane, Pavlik harness, Todd's paresis, Bair Hugger, Hess test, Gilbert's syndrome, Christmas disease.
Electronically signed, typed and faxed. The Emergency Room, Pain Clinic, General Surgery and Wellness Center called.
He is 92% on room air, pulse 94, temp 91F. In the second month, through the second trocar, may one day march on.
Keytruda, Jardiance, Ozempic, Eliquis and Neulasta were given. New Onset, Lower Extremity, Upper Lobe, Left Lower Lobe.
one two three, four five; two to three times a day for seven days
"""


@pytest.mark.parametrize("line", STAYS.splitlines())
def test_medicine_stays(line: str) -> None:
    assert left_and_lost(line, []) == ([], [])


def test_a_name_found_once_goes_everywhere() -> None:
    text = "Seen by Dr. Rohini Kapoor. then Kapoor wrote; KAPOOR agreed. Login rkapoor2. Dr. K will call.\nRK\n"
    assert {text[span.start : span.end] for span in find_phi(text)} == {
        "Rohini Kapoor", "Kapoor", "KAPOOR", "rkapoor2", "K", "RK",
    }  # fmt: skip


def test_repeats_leave_words_and_letters_of_everyday() -> None:
    text = "Mr. White came. White count 12. A white spot. The Foley was placed. CT done. Mr. W, Mr. W, Mr. W, Mr. W"
    found = [PhiSpan(4, 9, "NAME"), PhiSpan(text.index("Foley"), text.index("Foley") + 5, "NAME")]
    assert [text[span.start : span.end] for span in repeated_names(text, found) if span.start > 10] == []


def test_one_case_makes_rare_names_count() -> None:
    lower = (
        "pt opal stubblefield moved from elberton w/ r oglesby. seen by the nurse, who checked the wound and the drain."
    )
    shouted = "PT RUTHANNE DZIEDZIC ARRIVED FROM CHEBOYGAN BY AMBULANCE WITH CHEST PAIN AND SHORTNESS OF BREATH TODAY."
    assert [lower[s.start : s.end] for s in find_phi(lower)] == ["opal stubblefield", "elberton", "r oglesby"]
    dotted = lower.replace("w/ r oglesby", "w/ r. oglesby. pain. kowalczyk called")
    assert [dotted[s.start : s.end] for s in find_phi(dotted)] == [
        *("opal stubblefield", "elberton", "r. oglesby", "kowalczyk")
    ]
    assert [shouted[s.start : s.end] for s in find_phi(shouted)] == ["RUTHANNE DZIEDZIC", "CHEBOYGAN"]


def test_a_scanned_page_is_read_as_it_was_meant() -> None:
    page = "SAINT CASIMIR REGI0NAL H0SPITAL FAX 715-555-0l09 D0B: O5/14/1960"
    assert unscanned(page) == "SAINT CASIMIR REGIONAL HOSPITAL FAX 715-555-0109 DOB: 05/14/1960"
    assert unscanned("T1N0M0, H2O, 10 l/min") == "T1N0M0, H2O, 10 l/min"
    found = [page[span.start : span.end] for span in find_phi(page)]
    assert "715-555-0l09" in found and "O5/14/1960" in found
    assert len(unscanned(plain_view(page))) == len(page)
