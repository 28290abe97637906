"""Which examples come from one source and therefore go together: into one split, and into one draw of the bootstrap.

A document is its own source unless the release names its patient; questions go by their paper, labelled mentions by
their document, marked sentences and premises by their text, since releases repeat them once a relation or hypothesis.
"""

from eval.examples import Document, Example, LabelledText, Question, RelationCandidate, SentencePair


def cluster_of(example: Example) -> str:
    """A key that examples of one source share."""
    match example:
        case Document():
            return example.source or example.id
        case Question(document_id=key):
            return key
        case RelationCandidate():
            return example.document_id or example.text
        case SentencePair():
            # A premise is shared by the hypotheses about it; graded pairs stand alone.
            return example.first if example.label is not None else example.id
        case LabelledText():
            return example.document_id or example.text
