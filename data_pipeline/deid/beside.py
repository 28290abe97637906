"""What belongs to a name that was found: initials, a second surname, the other of two people; and what does not.

"E. Kilbane"   "VANDERKOLK, J"   "Anneke de Vries-Boateng"   "Toomey III"      grows
"Landry/Fontenot"   "Chaya and Tzipora"   "Pilar, Big Mike"                    the neighbour joins
"Wanda Eads RN"   "Dear Len"                                                   shrinks
"""

import re
from collections.abc import Iterable, Iterator

from data_pipeline.deid.eponyms import thing_follows
from data_pipeline.deid.lexicon import CREDENTIALS, is_strong, what_is_known
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import Known, not_names, word_set

_PARTICLES = (
    r"(?:de la|de los|de|del|della|dos|das|da|di|du|van der|van den|van|von|den|ter|ten|bin|binti|ibn|al|el|le|la)"
)
_WORD = r"[A-Z][a-z'-]+(?:[A-Z-][A-Za-z'-]+)?"
_BEFORE = re.compile(
    r"(?<![A-Za-z0-9.])(?:(?:[A-Z]\. ?){1,3}|(?:Wm|Chas|Geo|Jas|Thos|Jos|Robt|Mohd|Md)\.? )$|(?<=[\n.;(|/] )[A-Z] $"
    r"|(?<=[\n(|/])[A-Z] $"
)
_AFTER = re.compile(
    rf" {_PARTICLES} {_WORD}(?: {_WORD})?|,? (?:Jr|Sr|II|III|IV)\b\.?(?! [A-Z]?[a-z])|,? [A-Z]\.?(?=[ \t]*(?:\n|$"
    rf"|[;|)]| {{2}}))"
)
_OTHER = re.compile(rf"(?: ?[/&+] ?| and | or )({_WORD})(?![A-Za-z0-9@_]|\.[a-z]|'s [a-z]+(?:oma|itis)\b)")
# None of these is a surname too, as DO, MA and HO are.
_DEGREES = (CREDENTIALS - word_set("DO MA PA PG OD RD DC")) | word_set(
    "MSC BSC NPI SPR IMC PAC DNP RPSGT LADC DPT PGY FY1 FY2 ST3 CT1 SHO RMN RGN AHP MRCGP WOCN CPNP CCC SLP DEA DOD DOB"
)
# Nor are these names, as Pastor and Boss are.
_TITLES = word_set(
    "dear rev capt captain miss auntie aunty aunt uncle frau herr smt shri mr mrs ms dr dra prof chaplain rabbi"
    " decedent lpn slp sho rn np md colleague sir madam sister father brother sgt officer ofc nnp fob patient pt"
)
_LAST_WORD = re.compile(r"[ ,.]+([A-Za-z][A-Za-z0-9.-]*)$")
# "Dear, John" is somebody called Dear.
_FIRST_WORD = re.compile(r"([A-Za-z]+)[. ]+(?=[A-Za-z])")


def grown(plain: str, found: Iterable[PhiSpan]) -> list[PhiSpan]:
    """More of the names in `found`: what stands beside them and belongs to them."""
    return [more for span in found if span.cls == "NAME" for more in _more(plain, span)]


def trimmed(plain: str, spans: Iterable[PhiSpan]) -> list[PhiSpan]:
    """Spans of a `spans.union` of patterns, names without titles before and degrees behind them."""
    cut = (_trimmed(plain, span) if span.cls == "NAME" else span for span in spans)
    return [
        span for span in cut if span.cls != "NAME" or plain[span.start : span.end].strip(".").lower() not in _TITLES
    ]


def _more(plain: str, span: PhiSpan) -> Iterator[PhiSpan]:
    before = _BEFORE.search(plain, max(0, span.start - 10), span.start)
    after = _AFTER.match(plain, span.end)
    if before and plain[span.start].isupper():
        yield PhiSpan(before.start(), span.end, "NAME")
    end = after.end() if after else span.end
    if after:
        yield PhiSpan(span.start, end, "NAME")
    other = _OTHER.match(plain, end)
    if other and _may_join(other[1]) and not thing_follows(plain, other.end()):
        yield PhiSpan(other.start(1), other.end(1) - (2 if other[1].endswith("'s") else 0), "NAME")


def _may_join(word: str) -> bool:
    known = what_is_known(word)
    return (
        len(word) > 2 and not known & (Known.ORDINARY | Known.STAYS | Known.EPONYM) and word.lower() not in not_names()
    )


def _trimmed(plain: str, span: PhiSpan) -> PhiSpan:
    start, end, _ = span
    while last := _LAST_WORD.search(plain, start, end):
        # "B. Kwarteng   Ref: Mensah": the label of the next field.
        if plain[end : end + 1] == ":" and not is_strong(what_is_known(last[1])):
            end = last.start()
            continue
        word = last[1].replace(".", "").replace("-", "").upper()
        # "NGUYEN THI RN" may end in a name, "Wanda Eads RN" does not.
        is_apart = last[1].isupper() and not plain[start : last.start()].isupper()
        if word not in _DEGREES or not (is_apart or word in ("MSC", "SPR")):
            break
        end = last.start()
    while (first := _FIRST_WORD.match(plain, start, end)) and first[1].lower() in _TITLES:
        start = first.end()
    return PhiSpan(start, end, "NAME")
