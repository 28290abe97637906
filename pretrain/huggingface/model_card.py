"""The README.md of an exported folder: what the model is, what made it, what it may be used for."""

from typing import Any

from pretrain.checkpoint import CheckpointInfo
from pretrain.config import PretrainConfig
from pretrain.huggingface.importing import told

_CARD = """---
library_name: transformers
pipeline_tag: fill-mask
tags: [clinical, megatron-bert, notemill]
---

# Clinical encoder, {layers} layers of width {hidden}

A megatron-bert encoder pretrained by notemill on one institution's de-identified clinical notes with masked language
modelling{sentence_order}. The vocabulary {case}.

| | |
|---|---|
| layers x hidden x heads | {layers} x {hidden} x {heads} |
| vocabulary | {vocab:,} pieces, fingerprint `{fingerprint}` |
| longest input | {positions} tokens |
| attention | {attention} |
| steps, tokens seen | {steps:,}, {tokens:,} |
| batch | {batch} rows of {seq_len} tokens |
| learning rate | {lr:g}, linear warm-up of {warmup} steps, {decay} to {min_lr:g} |
| precision | {precision} |
| trained on | {world} process(es), tensor {tensor} x pipeline {pipeline} |
| parity | logits within {parity:.1e} of the training model (tolerance {tolerance:g}, fp32) |

## Use

    from transformers import AutoModel, AutoTokenizer
    model = AutoModel.from_pretrained("this folder")
    tokenizer = AutoTokenizer.from_pretrained("this folder")
{use}
{identifiers}

## Training text

{origin}{corpora}

## Limits

Meant for research on clinical text like that of the institution it was trained at. It has not been cleared for
decisions about patients. De-identification lowers the risk that training text can be recovered from the weights and
does not remove it: do not share this folder outside the institution without its privacy office's consent.
"""

_USE_OF_A_WINDOW = """
So loaded, the model attends to everything, which it was not trained for beyond its window. With
`trust_remote_code=True` the code in this folder attends as in training, linear in the length.
"""

_IDENTIFIERS = {
    "replace": "Identifiers were replaced by strings such as [**NAME**] before training, each of which is one piece;\n"
    "text given to the model should be treated the same way.",
    "surrogate": "Identifiers were replaced by invented values before training, and dates were moved.",
    "verify": "The notes had been de-identified before they came to notemill; those in which it found an identifier\n"
    "were left out.",
}


_DECAYS = {"linear": "linear decay", "cosine": "cosine decay", "wsd": "constant until {steps} steps of linear decay"}


def model_card(config: PretrainConfig, info: CheckpointInfo, parity: dict[str, Any], *, is_cased: bool) -> str:
    """The card's Markdown."""
    window = config.model.attention_window
    return _CARD.format(
        layers=config.model.num_layers,
        hidden=config.model.hidden_size,
        heads=config.model.num_attention_heads,
        sentence_order=" and sentence-order prediction" if config.train.sentence_order else "",
        case="is cased" if is_cased else "takes capitals for small letters",
        vocab=info.vocab_size,
        fingerprint=info.tokenizer_fingerprint[:12],
        positions=config.max_position_embeddings,
        attention="to all of a text" if window is None else f"{window // 2} tokens on either side, and [CLS] with all",
        use="" if window is None else _USE_OF_A_WINDOW,
        steps=info.step,
        tokens=info.tokens_seen,
        batch=config.train.global_batch_size,
        seq_len=config.train.seq_len,
        lr=config.train.lr,
        min_lr=config.train.min_lr,
        warmup=config.warmup_steps,
        decay=_DECAYS[config.train.lr_schedule].format(steps=config.decay_steps),
        precision=config.train.precision,
        world=info.world_size,
        tensor=config.parallel.tensor,
        pipeline=config.parallel.pipeline,
        parity=parity["max_abs_logit_difference"],
        tolerance=parity["tolerance"],
        identifiers="\n".join(_IDENTIFIERS[mode] for mode in _modes(info)),
        origin="" if info.origin is None else _origin(info),
        corpora="\n\n".join(map(_corpus, info.corpora)) or "What was attested of the training text is not recorded.",
    )


def _origin(info: CheckpointInfo) -> str:
    """What the run began from, where that was no new model."""
    origin: Any = info.origin
    lines = [
        f"Pretraining went on from the published model `{origin['name']}` (files `{origin['sha256'][:12]}`); what that "
        "one was trained on is for its own card to say.",
        "",
        *(f"- {line[0].upper()}{line[1:]}." for line in told(origin, info.vocab_size)),
    ]
    return "\n".join(lines) + "\n\n"


def _modes(info: CheckpointInfo) -> list[str]:
    """How identifiers were treated in each corpus; placeholders where it is not recorded, as by default."""
    return sorted({corpus.get("mode", "replace") for corpus in info.corpora}) or ["replace"]


def _corpus(corpus: dict[str, Any]) -> str:
    """What was attested of one corpus when its tokens were built."""
    name = f"Corpus `{corpus['corpus_manifest_sha256'][:12]}`"
    if "review" not in corpus:
        return f"{name}: what was attested of it is not recorded with its tokens."
    review, waivers = corpus["review"], corpus["waivers"]
    bound = ""
    if review["bound"] is not None:
        bound = f"; at most {100 * review['bound']:.3g}% of its notes leak ({review['confidence']:.0%} confidence)"
    checks = ", ".join(corpus["checks"]) or "nothing"
    lines = [
        f"{name}: {corpus['notes']:,} notes.",
        "",
        f"- De-identified by {', '.join(corpus['detectors'])}.",
        f"- Looked for in the finished text: {checks}. Notes held back: {corpus['held']:,}.",
        f"- Review by people, when the tokens were built: {review['state']}, {review['reviewed']:,} of "
        f"{review['sampled']:,} notes read, {review['leaks']:,} leaking{bound}.",
    ]
    for waiver in waivers:
        reason = f"Reason recorded: {waiver['reason']}" if waiver["reason"] else "No reason was recorded"
        lines.append(f"- Waived: {waiver['check']}; {waiver['meaning']}. {reason}.")
    return "\n".join(lines)
