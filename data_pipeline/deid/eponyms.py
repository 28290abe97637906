"""Names that stay because they name a thing: "Parkinson disease", "Foley catheter", "Jackson-Pratt drain"."""

import re

_THINGS = (
    "biplane|waves?|harness|midline|paresis|nomogram|placenta|syndr0me|oesophagus|equivocal|cephalic|spine|hugger"
    "|diseases?|syndromes?|sequence|signs?|tests?|testing|stag(?:e|es|ing)|scores?|scales?|criteria|class(?:ification)?"
    "|grades?|grading"
    "|types?|phenomen(?:on|a)|phenotype|reflex(?:es)?|respirations?|breathing|pulse|murmur|index|indices|formula"
    "|equation|law|rule"
    "|methods?|techniques?|procedures?|operations?|repair|maneuvers?|manoeuvre|positions?|incisions?|approach"
    "|resection|anastomosis"
    "|fundoplication|osteotomy|arthroplasty|fixation|reconstruction|fractures?|tears?|dislocation|deformity|contractures?"
    "|lesions?|defects?"
    "|malformations?|anomal(?:y|ies)|hernias?|cysts?|ulcers?|tumou?rs?|sarcomas?|lymphomas?|leukemia|adenoma|carcinoma"
    "|nodules?|nodes?"
    r"|bod(?:y|ies)|cells?(?! ?(?:\d|phone|number|[#:(]))|fibers?|rings?|webs?|spots?|patch(?:es)?|plaques?|lines?"
    r"|angle|triangle|space|pouch|fossa|foramen|canals?"
    "|ducts?|glands?|ligaments?|tendons?|membranes?|fascia|capsule|sheath|plexus|ganglion|gyrus|fissure|area|nucleus"
    "|valves?|islands?"
    "|crescents?|granules?|casts?|stains?|staining|medium|agar|anemia|pals(?:y|ies)|chorea|ataxia|neuralgia|neuropathy"
    "|neuroma|dystrophy"
    "|dementia|encephalopathy|aphasia|psychosis|epilepsy|seizures?|headaches?|arthritis|arthropathy|thyroiditis"
    "|disease|purpura"
    "|nephritis|esophagus|diverticul(?:um|a)|pupils?|pneumonia|gangrene|virus|bacill(?:us|i)|fever|rash|nevus|erythema"
    "|granulomatosis"
    "|retinopathy|optic|tetralogy|triad|pentad|circle|loops?|tubes?|tubing|catheters?|cannulas?|drains?|drainage|bulb"
    "|bag|balloon|shunts?"
    "|stents?|grafts?|filters?|lines?|ports?|clamps?|forceps|scissors|retractors?|elevators?|rongeurs?|curettes?"
    "|speculum|specula|needles?"
    "|trocars?|hooks?|pins?|wires?|screws?|plates?|rods?|nails?|prosthes[ie]s|implants?|stitch(?:es)?|sutures?|knots?"
    "|dressings?|bandages?"
    "|wrap|boots?|brace|splints?|collar|frame|bed|table|mattress|stockings?|hose|monitor(?:ing|s)?|lamp|lens|mirror"
    "|laryngoscope|blades?"
    "|saw|drill|solution|lactate|gel|cement|exercises?|diet|protocol|regimen|exam(?:ination)?|assessment|inventory"
    "|questionnaire|trial"
    "|study|effect|theory|nails?|fluid|layer|zone|arch|crest|tubercle|point|phase|heart|kidney|hip|knee|hand|finger"
    "|toe|foot|block"
    r"|tip|silk|trap|sleeve|tuck|dilators?|gag|mouth ?gag|grasper|sponge|attachment|vacuum|scope|flaps?|software|drops"
    r"|lithotriptor"
    r"|resectoscope|plating|system|pacemaker|device|generator|lead|inside|esophagitis|culdoplasty|instrumentation"
    r"|suction(?:ed|ing)?|tome"
    r"|sphincterotome|guidewire|sheath|introducer|applicator|stapler|cutter|shaver|spreader|distractor|immobilizer"
    r"|orthosis|sling"
    r"|fixator|washer|peg|cup|stem|liner|tray|spacer|polyp|oil|powder|cream|ointment|spray|pump|pen|inhaler|vaccine"
    r"|toxin|antigen|antibody"
    r"|antibodies|factor|gene|mutation|carrier|inheritance|trait|score|recurrent|protein|hump|neg|pos|negative"
    r"|positive|equivocal|absent|paralysis|weakness|tremor|gait|plan|insurance"
    "|bunionectomy|anesthesia|hook|flap|mesh|cautery|electrocautery|blue|red|(?-i:type )[A-Z0-9]{1,2}|(?-i:I{1,3}|IV"
    "|[A-D][1-4])"
)
_TAIL = re.compile(
    # "Graves' disease", "Guillain-Barre syndrome", "Dandy Walker malformation", "Hill Sachs", "Duke B2"
    rf"(?:'s|s'|')?(?:[ \n-]{{1,2}}(?:and |type )?[A-Z][A-Za-z'-]+){{0,2}}[ \n-]{{1,2}}(?:\w{{3,12}} )?(?i:{_THINGS})\b"
)
_NO_MIDDLE = re.compile(rf"(?:'s|s'|')?[ \n-]{{1,2}}(?:{_THINGS})\b", re.I)


def thing_follows(plain: str, end: int, near: bool = False) -> bool:
    """Whether a name that ends at `end` is that of a thing; with `near`, only when the thing is the very next word."""
    return (_NO_MIDDLE if near else _TAIL).match(plain, end) is not None
