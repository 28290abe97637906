"""Outcome of a stay: from a note to whether the patient died in the hospital.

A patient is gravely ill or not; the note tells a handful of findings that follow from it, each of which raises or
lowers the risk, among statements that say nothing of it, in any order. The label is drawn from the findings' sum, so no
reader can know it for certain. Grave words also stand in denials and family histories, where they raise nothing. How
long a note is says nothing of the outcome, and lengths differ by a factor of ten.
"""

import math
import random
from dataclasses import dataclass

from data_pipeline.invented.lexicon import load_lexicon
from data_pipeline.invented.patients import invent_facts
from data_pipeline.invented.span_text import SpanText
from data_pipeline.invented.tasks.splits import make_splits, write_opening, write_statements
from data_pipeline.invented.templates import Split, resolve_choices

LABELS = ("died", "survived")
_GRAVE_SHARE = 0.38
_SLIP = 0.16
"""Share of findings that point the other way than the patient's state."""
_FINDINGS = (3, 8)
_STATEMENTS = (1, 14)
_SHARPNESS = 0.9
"""How strongly the findings' sum decides; a smaller one leaves more to chance."""

# Weight and sentence; (a|b) is a free choice.
_GRAVE = (
    (2.0, "(Intubated|Reintubated) for (hypoxic|hypercapnic) respiratory failure."),
    (2.0, "(Started|Remains) on (norepinephrine|vasopressin|epinephrine) for (refractory|persistent) shock."),
    (2.5, "(Pulseless|Asystolic) arrest (overnight|this morning), resuscitated (ten|twenty) minutes."),
    (2.5, "Family (elected|chose|agreed to) comfort measures (only|alone)."),
    (1.5, "Lactate (rising|climbing) to (6.2|7.8|9.1|11.4)."),
    (1.5, "(Anuric|Oliguric), (started on|requires) continuous dialysis."),
    (1.5, "(Unresponsive|Obtunded) with (fixed|sluggish) pupils."),
    (1.0, "(Worsening|Progressive) multiorgan failure."),
    (1.0, "(Mottled|Cyanotic) extremities with (delayed|poor) perfusion."),
    (1.0, "(Disseminated|Widespread) metastases, (cachectic|frail)."),
    (1.0, "Septic with (bacteremia|fungemia) despite (broad|double) coverage."),
    (0.7, "(Hypotensive|Hypothermic) and (tachypneic|lethargic)."),
    (0.7, "Transferred to intensive care for (deterioration|instability)."),
)  # fmt: skip
_MILD = (
    (2.0, "(Ambulating|Walking) (independently|without help) (in the hallway|on the ward)."),
    (2.0, "(Eating|Tolerating) a regular diet."),
    (1.5, "(Weaned|Down) to room air."),
    (1.5, "(Cheerful|Conversant|Alert) and (oriented|joking)."),
    (1.5, "Ready for (discharge|home) (tomorrow|with services)."),
    (1.0, "Afebrile with stable (vitals|hemodynamics)."),
    (1.0, "Pain (controlled|relieved) with oral tablets."),
    (1.0, "(Participating|Progressing) in physical therapy."),
    (0.7, "(Voiding|Urinating) without difficulty."),
    (0.7, "Incision (clean|healing)."),
    (0.7, "(Lungs|Chest) clear, (saturating|breathing) comfortably."),
)  # fmt: skip
_NEITHER = (
    "No (shock|arrest|dialysis|bacteremia|metastases).",
    "(Father|Mother|Brother) died of (respiratory failure|septic shock|metastases).",
    "(Never|Has not been) (intubated|resuscitated).",
    "Not yet (ambulating|eating|ready for discharge).",
    "(Sister|Spouse) was told of the (plan|findings).",
)


@dataclass(frozen=True)
class OutcomeNote:
    text: str
    label: str


def make_outcomes(seed: int, sizes: tuple[int, int, int]) -> dict[Split, list[OutcomeNote]]:
    return make_splits(f"{seed}/outcome", sizes, _make, lambda row: row.text)


def _make(rng: random.Random, split: Split) -> OutcomeNote:
    is_grave = rng.random() < _GRAVE_SHARE
    findings, risk = _find(rng, is_grave)
    label = LABELS[0] if rng.random() < 1 / (1 + math.exp(-_SHARPNESS * risk)) else LABELS[1]
    neither = [resolve_choices(rng, line) for line in rng.sample(_NEITHER, rng.choice((0, 0, 1, 2)))]
    sentences = findings + neither + _background(rng, split)
    rng.shuffle(sentences)
    opening = SpanText()
    write_opening(rng, opening)
    return OutcomeNote("".join(_joined(rng, [*([opening.text] if len(opening) else []), *sentences])), label)


def _find(rng: random.Random, is_grave: bool) -> tuple[list[str], float]:
    """Sentences and the sum of their weights, above 0 where death is likelier."""
    wanted = rng.randint(*_FINDINGS)
    num_grave = sum((rng.random() < _SLIP) != is_grave for _ in range(wanted))
    grave, mild = rng.sample(_GRAVE, num_grave), rng.sample(_MILD, wanted - num_grave)
    risk = sum(weight for weight, _ in grave) - sum(weight for weight, _ in mild)
    return [resolve_choices(rng, line) for _, line in grave + mild], risk


def _background(rng: random.Random, split: Split) -> list[str]:
    lexicon = load_lexicon()
    facts = invent_facts(rng, lexicon, split)
    low, high = _STATEMENTS
    # Evenly over the logarithm: short notes are as common as long ones.
    count = round(math.exp(rng.uniform(math.log(low), math.log(high))))
    sentences = []
    for kind in rng.choices(_KINDS, k=count):
        out = SpanText()
        write_statements(rng, lexicon, facts, [kind], split, out)
        sentences += [out.text] if len(out) else []
    return sentences


_KINDS = (
    "prescribe", "prescribe_short", "adverse", "result", "result_two", "imaging", "imaging_absent", "procedure",
    "location", "symptoms", "symptoms_absent", "history", "family", "uncertain", "condition_absent",
)  # fmt: skip


def _joined(rng: random.Random, sentences: list[str]) -> list[str]:
    return [part for i, line in enumerate(sentences) for part in ((rng.choice((" ", " ", "\n")) if i else ""), line)]
