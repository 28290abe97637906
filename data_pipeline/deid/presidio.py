"""Microsoft Presidio as one more detector, for those who have it: `pip install presidio-analyzer`.

`deid.presidio=patterns` runs its recognisers of shapes without a language model; anything else is a spaCy pipeline,
installed or a folder, whose entities it uses too. It never downloads one.
"""

import functools
import importlib.util
from pathlib import Path
from typing import Any

from data_pipeline.deid.spans import PhiSpan
from data_pipeline.placeholders import PlaceholderClass
from launch.errors import NotemillError

PATTERNS_ONLY = "patterns"
_CLASSES: dict[str, PlaceholderClass] = {
    "PERSON": "NAME",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "URL": "URL",
    "IP_ADDRESS": "IP",
    "MAC_ADDRESS": "DEVICE",
    "US_SSN": "SSN",
    "US_ITIN": "ID",
    "US_PASSPORT": "ID",
    "US_BANK_NUMBER": "ACCOUNT",
    "US_DRIVER_LICENSE": "LICENSE",
    "MEDICAL_LICENSE": "LICENSE",
    "CREDIT_CARD": "ACCOUNT",
    "IBAN_CODE": "ACCOUNT",
    "CRYPTO": "ID",
    "LOCATION": "LOCATION",
}
"""Its entities that Safe Harbor names. DATE_TIME is left out: it takes "daily" and "3 weeks" for dates."""
_MIN_SCORE = 0.4


class Presidio:
    """The analyzer, built once a process."""

    def __init__(self, pipeline: str) -> None:
        """Raises NotemillError when Presidio or the spaCy pipeline is not there."""
        if importlib.util.find_spec("presidio_analyzer") is None:
            raise NotemillError(
                "deid.presidio needs the package presidio-analyzer; install it, or leave the setting out."
            )
        self._analyzer = _analyzer(pipeline)

    def find(self, text: str) -> list[PhiSpan]:
        """Identifiers in `text`."""
        found = self._analyzer.analyze(text=text, language="en", entities=self._entities, score_threshold=_MIN_SCORE)
        return [PhiSpan(item.start, item.end, _CLASSES[item.entity_type]) for item in found]

    @property
    def _entities(self) -> list[str]:
        return [name for name in self._analyzer.get_supported_entities("en") if name in _CLASSES]


def _analyzer(pipeline: str) -> Any:
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    # Presidio's patterns for mail ask this package, which would fetch its list of domains from the net.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    try:
        loaded = spacy.blank("en") if pipeline == PATTERNS_ONLY else spacy.load(pipeline)
    except (OSError, ValueError):
        raise NotemillError(
            f"deid.presidio is '{pipeline}', which is no spaCy pipeline on this machine; install it, name a folder, or "
            f"take '{PATTERNS_ONLY}'."
        ) from None
    registry = RecognizerRegistry(supported_languages=["en"])
    engine: Any = SpacyNlpEngine()
    # The pipeline is there already; the engine's own way is to download one.
    engine.nlp = {"en": loaded}
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


@functools.cache
def presidio_version(pipeline: str) -> str:
    """What decides its findings: its version, spaCy's and the pipeline's."""
    from importlib.metadata import version

    Presidio(pipeline)
    own = f"presidio-analyzer {version('presidio-analyzer')}, spacy {version('spacy')}"
    if pipeline == PATTERNS_ONLY:
        return own
    import spacy

    meta = spacy.load(pipeline).meta
    return (
        f"{own}, {meta['lang']}_{meta['name']} {meta['version']}" if not Path(pipeline).is_dir() else f"{own}, folder"
    )
