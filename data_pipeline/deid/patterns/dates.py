"""Dates in the forms that notes use, and ages over 89.

The hard case is the bare "4/13": the same shape is a pain score, a murmur's grade, a strength or half a tablet. What
stands before and after it decides; where nothing does, it is whether things are scored out of the second number.
"""

import functools
import re
from collections.abc import Iterator

from data_pipeline.deid.lexicon import what_is_known
from data_pipeline.deid.patterns.detector import Detector
from data_pipeline.deid.spans import PhiSpan
from data_pipeline.deid.words import NAME, NOT_A_NAME

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?|JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?"
    r"|SEPT?(?:EMBER)?|OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?|jan(?:uary)?|feb(?:ruary)?|march|apr(?:il)?|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_SPANISH_MONTH = (
    r"(?:enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre|octubre|noviembre|diciembre|janeiro"
    r"|fevereiro|marco|maio|junho|julho|setembro|outubro|novembro|dezembro)"
)
_OTHER_MONTH = (
    r"(?:januar|februar|m[a]rz|april|mai|juni|juli|august|oktober|dezember|janvier|fevrier|mars|avril|juin|juillet|aout"
    r"|septembre|octobre|novembre|decembre|gennaio|febbraio|aprile|maggio|giugno|luglio|agosto|settembre|ottobre|dicembre"
    r"|januari|februari|maart|mei|augustus|nisan|iyar|sivan|tammuz|elul|tishrei|cheshvan|kislev|tevet|shevat|adar"
    r"|shawwal|rajab|sha'?ban|safar)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH_NUMBER = r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:1[89]\d\d|2[0-2]\d\d)"
_ORDINAL = r"(?i:st|nd|rd|th)?"
_WEEKDAY = r"(?:\b(?i:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?i:day)?[,.]?\s(?i:the )?)"
_CUED_DAY = (
    r"(?i:on|since|until|till|through|dated|date|seen|home|admitted|discharged|d/c|due|last|f/u|encounter|visit|note"
    r"|appt|rtc|thru|by|missed|recheck|returned|drawn)"
)
_SAINT = r"(?:St\.?|Saint) (?:Patrick|Stephen|Valentine|Nicholas|Joseph|John|George|Andrew|David|Lucia|Lucy|Martin)"
_NAMED_DAY = (
    r"christmas|x-?mas|thanksgiving|halloween|hallowe'en|easter|passover|pesach|hanukkah|chanukah|hannukah|purim|sukkot"
    r"|shavuot|rosh hashanah?|yom kippur|ramadan|eid(?: (?:al|ul)[- ](?:fitr|adha))?|muharram|ashura|diwali|deepavali"
    r"|holi"
    r"|navratri|dussehra|onam|pongal|vaisakhi|nowruz|norouz|kwanzaa|juneteenth|mardi gras|cinco de mayo|candlemas"
    r"|michaelmas|whitsun|pentecost|epiphany|twelfth night|lammas|bonfire night|guy fawkes(?: night)?|hogmanay"
    r"|mid-?autumn festival|dragon boat festival|songkran|obon|golden week|vesak|wesak|dia de (?:los muertos|reyes)"
    r"|las posadas|nochebuena|carnival|fat tuesday|shrove tuesday|ash wednesday|maundy thursday|holy thursday"
    r"|good friday"
    r"|black friday|cyber monday|super bowl|spring break|(?:the )?(?:4th|fourth) of july|july (?:4th|fourth)"
    r"|(?:palm|easter|whit|mothering|trinity|super bowl|low) sunday|(?:easter|whit) monday|all (?:saints|souls)"
    r"|(?:labor|labour|memorial|mother's|mothers'?|father's|fathers'?|valentine'?s?|independence|veterans'?|columbus"
    r"|president'?s'?|mlk|martin luther king(?: jr\.?)?|groundhog|flag|patriots'?|earth|arbor|election|inauguration"
    r"|indigenous peoples?'?|boxing|canada|victoria|anzac|australia|waitangi|republic|bastille|armistice|remembrance"
    r"|may|new year'?s|all saints'?|all souls'?|pancake|burns|st\.? patrick'?s|st\.? stephen'?s|april fools'?|pi"
    r"|d-) day"
    r"|new year'?s|(?:lunar|chinese|hmong|tibetan|khmer|lao|thai|jewish|persian|vietnamese|korean|orthodox) new year"
)
_HOLIDAY = (
    rf"(?:(?i:{_NAMED_DAY})|Tet|Lent|Advent|New Year|{_SAINT}(?:'?s)? Day)\b"
    r"(?:(?i: bank holiday| day| monday| sunday| eve| night| morning| weekend| week| holidays?))?(?i:'s eve)?(?:,?"
    r" \d{4}\b)?"
)
_NO_HOLIDAY = re.compile(r"\s(?:disease|factor|tree|island|isl|carol|egg|lil(?:y|ies)|rose|cactus|seal)", re.I)
_DAY_TAIL = re.compile(r"the \d\d?[a-z]{2}$")
_CUED_TAIL = re.compile(r"\d\d?-\d\d?$|\d\d?\.\d\d?\.$")
_YEAR_AND_MONTH = re.compile(r"20(\d\d)-(\d\d)")

_DATE = "|".join(
    (
        rf"\b{_YEAR}[-/.]{_MONTH_NUMBER}[-/.]{_DAY}(?:\b|T\d\d:\d\d(?::\d\d)?)",
        rf"{_WEEKDAY}?\b{_MONTH_NUMBER}/(?:\s?{_DAY}/\s?{_YEAR}|{_DAY}/\d\d)\b",
        rf"\b(?:{_DAY}\.{_MONTH_NUMBER}|{_MONTH_NUMBER}\.{_DAY})\.\d\d\b",
        rf"\b{_CUED_DAY} {_MONTH_NUMBER}-{_DAY}\b",
        rf"\b(?i:on|since|until|till|by|before|after|from|through|week of|around|and|to) the {_DAY}(?:st|nd|rd|th)\b",
        rf"{_WEEKDAY}?\b{_DAY}[/.-]{_MONTH_NUMBER}[/.-]{_YEAR}\b",
        rf"{_WEEKDAY}?\b{_DAY}/{_MONTH_NUMBER}/\d\d\b",
        rf"\b{_YEAR}[-/. ]{_MONTH}[-/. ]{_DAY}\b",
        rf"\b{_MONTH}[-/.]{_DAY}[-/.,]{{1,2}}(?:{_YEAR}|'?\d\d)\b",
        rf"\b{_DAY}[-/.](?i:i{{1,3}}|iv|vi{{0,3}}|ix|xi{{0,2}}|x)[-/.](?:{_YEAR}|\d\d)\b",
        rf"\b{_DAY}{_ORDINAL} de (?i:{_SPANISH_MONTH})(?: del? {_YEAR})?\b",
        rf"\b{_MONTH_NUMBER}[.-]{_DAY}[.-]{_YEAR}\b",
        r"\b\d\d[.-]\d\d[.-]\d\d\b",
        rf"\b{_MONTH_NUMBER}-{_DAY}-\d\d\b",
        rf"\b{_MONTH_NUMBER}/{_YEAR}\b",
        rf"{_WEEKDAY}?\b{_MONTH}\.?\s{{1,2}}{_DAY}{_ORDINAL}(?: ?(?:-|&|to|thru)"
        rf" ?{_DAY}{_ORDINAL})?\b(?:,?\s{{1,2}}(?:{_YEAR}\b|'\d\d\b)|,{_YEAR}\b)?",
        rf"{_WEEKDAY}?\b(?:{_DAY} ?[-&] ?)?{_DAY}{_ORDINAL}[ /-]?(?:of )?{_MONTH}\.?(?:[ ,/-]{{0,2}}(?:{_YEAR}"
        rf"|'?\d\d)\b|\b)",
        rf"\b{_DAY}\.? (?:de )?(?i:{_OTHER_MONTH})\b(?: (?:de )?{_YEAR}\b)?",
        rf"{_WEEKDAY}{_DAY}(?:st|nd|rd|th)\b",
        rf"\b{_DAY}\.[ -]{{1,3}}{_DAY}\.{_MONTH_NUMBER}\.{_YEAR}\b",
        rf"\b(?:on|since|until|till|am|vom|bis|from) (?:1[3-9]|2\d|3[01])\.{_MONTH_NUMBER}\.",
        rf"\b(?:1[3-9]|2\d|3[01])-{_MONTH_NUMBER}-\d\d\b",
        r"\b20\d\d-(?:0[1-9]|1[0-2])\b",
        rf"\b{_MONTH}\.?(?:,|\s+of)?\s{{1,2}}{_YEAR}\b",
        r"\bmay \d{1,2}(?:st|nd|rd|th)\b(?:,? \d{4}\b)?",
        r"\b(?i:on|by|since|until|till|before|after|from|wedding|due|appt|scheduled|for) may \d{1,2}\b",
        rf"\b{_MONTH}(?:[-/.]| ?')(?:{_YEAR}|\d\d)\b",
        rf"{_WEEKDAY}\b{_MONTH_NUMBER}/{_DAY}\b",
        rf"{_WEEKDAY}\b{_DAY}/{_MONTH_NUMBER}\b",
        rf"\b(?:1[3-9]|2\d|3[01])/{_MONTH_NUMBER}\b",
        rf"\b{_MONTH_NUMBER}/{_DAY}(?: ?- ?| to | thru | through ){_MONTH_NUMBER}/{_DAY}\b",
        rf"\b{_MONTH_NUMBER}/{_DAY}\b",
    )
)
_BARE_DATE = re.compile(r"(\d\d?)/(\d\d?)")
_BARE_RANGE = re.compile(r"(\d\d?)/(\d\d?)[ a-z-]+(\d\d?)/(\d\d?)")
_CUE_OF_DATE = re.compile(
    r"(?:\b(?:on|since|until|till|through|thru|dated?|dates?|seen|birth|dob|do[adeils]|admitted|discharged?|dictated|due|"
    r"last|lmp|by|before|after|from|as of|admission|procedure|operation|surgery|service|visit|"
    r"onset|rn|md|np|d|t|dd|dt|edc|edd|verified|week of|screened|collected|drawn|received|reported|resulted"
    r"|implanted|transfused|vaccinated|missed|transferred)\b[:\s,(]*)$",
    re.I,
)
_CUE_OF_STUDY = re.compile(
    r"\b(?:ct|mri|x-?ray|cxr|echo|ekg|ultrasound|examination|biopsy|study)\b[^.;\n]{0,30},\s$", re.I
)
_CUE_OF_PLACE_IN_TIME = re.compile(r"(?:\bin\s)$", re.I)
_CAPITAL_BEFORE_IN = re.compile(r"(?:[A-Z][a-z]+|, [A-Z]{2}) in $")
_CUE_OF_SCORE = re.compile(
    r"(?:(?:equal to|than|pupils|pain|strength|murmur|grade|graded|scale|score|apgars?|motor|reflex(?:es)?|pulses?"
    r"|power|rated|rates?|gcs|"
    r"systolic|muscle|flexors?|extensors?|bilaterally|acuity|eye|vision|glasgow|bp|nodes?|bipap|cpap|ps|peep|settings"
    r"|pressures?|vent|rv|pa|ra|lv|ao|wedge|pcwp|phq|gad|katz|lawton|moca|mmse|gds|epds|cage|audit|fast|nihss|barthel|tandem|press)"
    r"(?:\s(?:is|was|of|at|as|a|are|were|score|level|today|now|about|approximately|currently|with|and|or|to|in|on))*"
    r"[\s:,(]*|=\s?|[+#<>~./*-]|\dx)$",
    re.I,
)
_NOT_AFTER_DATE = re.compile(
    r"(?:\s?(?:%|mg|ml|mcg|cc|cm|mm|inch|inches|lb|oz|kg|hour|hr|tab|tablet|teaspoon|tsp|cup|pack|ppd|normal|ns\b|"
    r"strength|murmur|systolic|diastolic|pain|intensity|power|motor|pulses?|bilateral|throughout|in all|scale|nodes?|"
    r"positive|lymph|of\b|cores?|quadrants?|point|vicryl|percent|dose|mets|months?|years?|days|weeks?|reflex|ejection|"
    r"full|symmetric|recall|words?\b|on a|out of|o[ds]\b|proximally|distally)|[/\d]|\.\d|-\d)",
    re.I,
)
# All day and all week; an eye.
_NO_DAYS = frozenset([(24, 7), (20, 10)])


def _judge_date(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    candidate = plain[start:end]
    days = _BARE_RANGE.fullmatch(candidate)
    # "4/5 to 5/5" is strength, "1/2-1/5" is four days: days of one range are out of two numbers, and rise.
    if days and ((days[2] == days[4] and int(days[2]) <= 10) or not _is_bare_date(plain, start, end, 12, 31)):
        return
    if _DAY_TAIL.search(candidate):
        # "seen on the 3rd, and", not "on the 3rd digit".
        if re.match(
            r"\s*(?:$|[.,;:)\n]|(?:at|and|he|she|they|we|with|for|of (?:this|the|last) month)\b)", plain[end : end + 20]
        ):
            yield PhiSpan(start + candidate.index("the ") + 4, end, "DATE")
        return
    cued = _CUED_TAIL.search(candidate) if candidate[0].isalpha() else None
    if cued:
        if not _NOT_AFTER_DATE.match(plain[end : end + 14]):
            yield PhiSpan(start + cued.start(), end, "DATE")
        return
    month_of_year = _YEAR_AND_MONTH.fullmatch(candidate)
    # "2014-02" is a month, "2008-10" more often three winters.
    if month_of_year and (month_of_year[2] > month_of_year[1] or plain[end : end + 1] == "-"):
        return
    may = re.search(r"may \d\d?$", candidate)
    if may and candidate[0] != "m":
        yield PhiSpan(start + may.start(), end, "DATE")
        return
    short = re.fullmatch(r"\d\d?-(\d\d?)-(\d\d)", candidate)
    # "3-3-58" and "3-27-23" can be nothing else; "1-2-10" needs a word before it.
    if (
        short
        and len(candidate) < 8
        and int(candidate.partition("-")[0]) <= 12
        and int(short[2]) <= 31
        and int(short[1]) <= 12
        and not _has_cue(plain, start)
    ):
        return
    bare = _BARE_DATE.fullmatch(candidate)
    if bare is not None and not _is_bare_date(plain, start, end, int(bare[1]), int(bare[2])):
        return
    # "T12-11-10" and "1.12-10-20" are levels and ranges, "may 5" a sentence that goes on.
    is_end_of_range = re.fullmatch(r"\d\d?/\d\d?/\d{2,4}", candidate) and re.search(
        r"\d-$", plain[max(0, start - 2) : start]
    )
    is_end_of_range = is_end_of_range or _HOUR_BEFORE.search(plain, max(0, start - 6), start)
    if start and plain[start - 1] in "./-" and candidate[0].isdigit() and not is_end_of_range:
        return
    if re.fullmatch(r"\d\d[.-]\d\d[.-]\d\d", candidate) and not _is_numeric_date(candidate):
        return
    yield PhiSpan(start, end, "DATE")


_NEAR_CHARS = 1_000
_HOUR_BEFORE = re.compile(r"\b(?:[01]\d|2[0-3])[0-5]\d ?-$")
_VALUE_BEFORE = re.compile(r"[A-Za-z]{2,} \d+(?:\.\d+)?[HL]? \($")
_LINE_BEFORE = re.compile(r"(?:^|\n)[ \t|*>-]{0,4}$")
_DATED_LINE = re.compile(r"(?:^|\n)\d\d?/\d\d? (?=[A-Za-z])")
_LINE_AFTER = re.compile(r" ?\||:? [-\u2013] |: |:?$")


def _has_cue(plain: str, start: int) -> bool:
    before = plain[max(0, start - 40) : start]
    return bool(_CUE_OF_DATE.search(before) or re.search(r"\b(?:b\.|born)\s$", before))


def _is_numeric_date(candidate: str) -> bool:
    first, second, _ = (int(part) for part in re.split(r"[.-]", candidate))
    return 1 <= first <= 31 and 1 <= second <= 31 and min(first, second) <= 12


def _is_bare_date(plain: str, start: int, end: int, first: int, second: int) -> bool:
    """Whether "4/13" is a day; "5/10" after pain, "3/6" before murmur and "1/2" before a tablet are not."""
    before = plain[max(0, start - 40) : start]
    after = plain[end : end + 14]
    if _HOUR_BEFORE.search(before):
        return True
    # "29 2/7" are weeks and days.
    if second == 7 and re.search(r"\b[1-4]\d (?:and )?$", before):
        return False
    if _NOT_AFTER_DATE.match(after) or _CUE_OF_SCORE.search(before) or (first, second) in _NO_DAYS:
        return False
    if re.match(r"\s?in\b", after) and second in (2, 3, 4, 8, 16) and first < second:
        return False
    if _CUE_OF_DATE.search(before) or _CUE_OF_STUDY.search(before):
        return True
    # "WBC 8.1 (7/8)", "| 1/3 |", "1/3: seen" and "4/2 - fell" at the beginning of a line.
    if (_VALUE_BEFORE.search(before) and after[:1] == ")") or (
        _LINE_BEFORE.search(plain, max(0, start - 6), start)
        and (_LINE_AFTER.match(after) or len(_DATED_LINE.findall(plain, *_around(start))) > 1)
    ):
        return True
    # Scores and fractions count up to what they are out of; days of a month beyond 10 are out of nothing usual.
    could_be_score = first <= second and second <= 10 and second != 7
    if _CUE_OF_PLACE_IN_TIME.search(before):
        # "moved from Dover, OH in 7/10": after a name of a place it is a day, whatever the numbers.
        return _CAPITAL_BEFORE_IN.search(before) is not None or not (first <= second and second in (5, 10))
    return not could_be_score or (first < second and _has_date_in_month(plain, start, first))


def _around(start: int) -> tuple[int, int]:
    """Bounds of what is near: reading all of a long note again for each candidate would take hours."""
    return max(0, start - _NEAR_CHARS), start + _NEAR_CHARS


def _has_date_in_month(plain: str, start: int, month: int) -> bool:
    """Whether another day of the month stands nearby, or a whole date: "admitted 6/17, drain out 6/8"."""
    return _day_of_month(month).search(plain, *_around(start)) is not None


@functools.cache
def _day_of_month(month: int) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d/.])0?{month}/(?:1[1-9]|2\d|3[01]|\d\d?/\d\d(?:\d\d)?)(?![\d/])")


# A month alone tells more than the year. March, May and August are words too, and need a capital and a cue.
_MONTH_CUE = (
    r"(?:in|since|by|until|till?|from|through|thru|during|of|last|this|next|early|late|mid|past|around|before|after|every|each"
    r"|between|and|to|beginning|end|about|approximately|circa|back in|starting|due|for|seen|rtc|f/u|appt|visit"
    r"|admitted|scheduled|surgery|colonoscopy|mammogram)[ -](?:early[ -]|late[ -]"
    r"|mid[ -]?"
    r"|about |around |the (?:end|beginning|middle|start) of )?"
)
_MONTH_ALONE = "|".join(
    (
        r"\b(?i:january|february|september|october|november|december)\b",
        r"\b(?:July|July's|April|June|August|JULY|AUGUST)\b",
        rf"\b(?i:{_MONTH_CUE})(?:{_MONTH}|august|april)\b",
    )
)
_MONTH_WORD = re.compile(r"[A-Za-z]+$")
_MONTH_IS_WORD = re.compile(r"(?:may|mar(?:ch)?|dec|sept?|jan|jun|aug)$", re.I)
_STRONG_MONTH_CUE = re.compile(
    r"(?:in|since|until|till?|last|this|next|early|late|mid|during|of|seen|rtc|f/u|appt|visit|admitted|scheduled|surgery"
    r"|colonoscopy|mammogram)[ -]",
    re.I,
)
_MONTH_FOLLOWED = re.compile(
    r"(?:'s)?[ ]?(?:[.,;:)\n/-]|$|\b(?:and|or|to|when|with|for|at|she|he|they|the|but|of|after|before|19|20)\b)"
)


def _judge_month(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    month = _MONTH_WORD.search(plain, start, end)
    if month is None:
        return
    word = month[0]
    # "in may", "to march" and "in dec condition" are words.
    if _MONTH_IS_WORD.match(word) and (
        word.islower()
        or not _STRONG_MONTH_CUE.match(plain, start)
        or not (_MONTH_FOLLOWED.match(plain, end) or re.match("(?:this|last|next) ", plain[start:end], re.I))
    ):
        return
    yield PhiSpan(month.start(), end, "DATE")


def _judge_holiday(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    if not _NO_HOLIDAY.match(plain, end):
        yield PhiSpan(start, end, "DATE")


_OLD = r"(?:9\d|1[0-2]\d)"
_OLD_WORD = (
    r"(?i:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|(?:a |one )?hundred(?: and)?(?: (?:one|two|three|four|five))?)"
)
_AGE = "|".join(
    (
        rf"\b(?:{_OLD}|{_OLD_WORD})[- ]*(?i:year|yr)s?[- ]*(?i:olds?|of age)\b",
        rf"\b{_OLD}[- ]?(?i:y\.?/?o\b|yo[mf]\b|y/o|yr/o)",
        rf"\b{_OLD} ?(?:M\b|(?i:male|female|woman|man|lady|gentleman)\b)",
        rf"\b(?i:age|aged|age:|age is|age of)\s{{1,8}}(?:{_OLD}|{_OLD_WORD})(?i:y|yo|yrs?)?\b",
        rf"\b(?i:she|he|they|pt|patient|mother|father|mom|mum|dad|sister|brother|aunt|uncle|wife|husband|grandmother"
        rf"|grandfather|grandma|grandpa|gm|gf|mgm|pgm|mgf|pgf|turned|turns|turning|died|passed|passed away|lived|now"
        rf"|stroke"
        rf"|mi|cancer|dementia|death|deceased)"
        rf"(?i: is| was| turned| just turned| turns| died| passed| lived| now| at| to| of| aged?| age"
        rf"| in her sleep){{0,3}},? {_OLD}\b",
        rf"(?:\b(?:19|20)\d\d|\d/\d\d) ?\((?i:age |aged )?{_OLD} ?(?i:y|yo|years?)?\)",
        r"\b9[0-4]F\b",
        rf"\({_OLD} ?(?i:y|yo|yrs?|years?)\)",
        rf"\b(?:d\.|dec\.) {_OLD}\b",
        rf"\b[A-Z][a-z'-]+(?: [A-Z]\.?)?, {_OLD}(?:,| -|;|\.(?: |\n|$)| who| presents?| lives)",
        rf"\b(?i:she is|he is|patient is|she's|he's|now) {_OLD_WORD}[.,;\n]",
        (
            rf"\b{_OLD} ?[FfMm] (?:p/w|with|w/|c/o|h/o|s/p|who|admitted|presents?|presenting|here|hx|PMH|found|from|in"
            rf"|c)\b"
        ),
        r"\b(?:nonagenarian|centenarian)\b",
    )
)
_OLD_NUMBER = re.compile(rf"{_OLD}|{_OLD_WORD.replace('(?i:', '(?:')}", re.I)


_NO_AGE = re.compile(
    r"(?:[.,]\d|/\d| ?(?:%|percent|mg|mcg|kg|lbs?|pounds|bpm|beats|on (?:ra|room|\d)|degrees|mm|ml|cc|cm|/|-|deg|min"
    r"|hours|days"
    r"|weeks|months|cigarettes|units|minutes))",
    re.I,
)


_NAMED_OLD = re.compile(rf"([A-Z][a-z'-]+)(?: [A-Z]\.?)?, ({_OLD})(?:,| -|;|\.(?:\s|$)| who| presents?| lives)")
_TITLE_BEFORE = re.compile(r"\b(?:Mrs?|Ms|Miss|Dr)\.? $")
_CUE_OF_HEAT = re.compile(r"\b(?:temp(?:erature)?|tmax|tc|tm|t|fever|febrile|e t)\b[ :=of]{0,5}$", re.I)


def _judge_age(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    # "she is 92% on room air", "BP was 101/62": behind a subject alone a number is an age only where it ends.
    if plain[end - 1] in "Ff" and _CUE_OF_HEAT.search(plain, max(0, start - 12), start):
        return
    if plain[end - 1].isdigit() and not re.match(r"(?i)age", plain[start:end]) and _NO_AGE.match(plain, end):
        return
    named = _NAMED_OLD.match(plain, start, end)
    if named:
        known = what_is_known(named[1])
        is_titled = _TITLE_BEFORE.search(plain, max(0, start - 6), start)
        if is_titled or (known & NAME and not known & NOT_A_NAME):
            yield PhiSpan(named.start(2), named.end(2), "AGE")
        return
    bracket = plain.rfind("(", start, end)
    number = _OLD_NUMBER.search(plain, max(bracket, start), end)
    if number is None:
        yield PhiSpan(start, end, "AGE")
    else:
        yield PhiSpan(number.start(), number.end(), "AGE")


# Behind "DOB" stands a date, however it is written.
_BORN = (
    r"\b(?i:dob|d\.o\.b\.?|date of birth|birth ?date|geb\.?|fecha de nac(?:imiento)?|f\. ?nac\.?|ne\(e\)"
    r" le)[ .:#-]{1,15}"
    r"[0-9A-Za-z]{1,9}[ ./-]{1,2}[0-9A-Za-z]{1,9}[ ./,-]{1,2}\d{2,4}\b"
)
_BORN_HEAD = re.compile(
    r"[A-Za-z. ()]+?[ .:#-]{1,15}(?=[0-9A-Za-z]{1,9}[ ./-]{1,2}[0-9A-Za-z]{1,9}[ ./,-]{1,2}\d{2,4}$)"
)


def _judge_born(plain: str, start: int, end: int) -> Iterator[PhiSpan]:
    head = _BORN_HEAD.match(plain[start:end])
    begin = start + head.end() if head else start
    if sum(char.isdigit() for char in plain[begin:end]) > 2:
        yield PhiSpan(begin, end, "DATE")


DETECTORS = (
    Detector(_BORN, _judge_born),
    Detector(_DATE, _judge_date),
    Detector(rf"\b(?:{_HOLIDAY})", _judge_holiday),
    Detector(_MONTH_ALONE, _judge_month),
    Detector(_AGE, _judge_age),
)
