"""Which old row a new piece takes, between every two kinds of vocabulary."""

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from launch.errors import NotemillError
from pretrain.huggingface.remap import TokenizerVocabulary, remap_rows
from tokenizer.fixed_pieces import ROLES, SPECIAL_TOKENS

FIRST = len(SPECIAL_TOKENS)


def wordpiece(*pieces: str, lower_case: bool = False) -> TokenizerVocabulary:
    ids = {piece: number for number, piece in enumerate((*SPECIAL_TOKENS, *pieces))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return TokenizerVocabulary(tokenizer, "wordpiece", ROLES)


def bytebpe(*pieces: str, merges: list[tuple[str, str]] = []) -> TokenizerVocabulary:  # noqa: B006
    roles = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
    ids = {piece: number for number, piece in enumerate((*roles.values(), *pieces))}
    tokenizer = Tokenizer(models.BPE(ids, merges))
    tokenizer.add_special_tokens([*roles.values()])
    return TokenizerVocabulary(tokenizer, "bytebpe", roles)


def unigram(*pieces: str) -> TokenizerVocabulary:
    names = (*SPECIAL_TOKENS, *pieces)
    tokenizer = Tokenizer(models.Unigram([(piece, -float(len(piece) < 3)) for piece in names], unk_id=1))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return TokenizerVocabulary(tokenizer, "sentencepiece_unigram", ROLES)


def sources(old: TokenizerVocabulary, new: TokenizerVocabulary) -> dict[str, list[str]]:
    """Old pieces by new piece, but for the special ones."""
    plan = remap_rows(old, len(old.ids), new)
    name = {number: piece for piece, number in old.ids.items()}
    found = {piece: [name[row] for row in plan.rows[number]] for piece, number in new.ids.items()}
    for role, piece in new.roles.items():
        assert found.pop(piece) == [old.roles[role]]
    return found


def test_pieces_are_matched_by_the_text_they_stand_for():
    words = wordpiece("heart", "##ache", ".", "é")
    letters = bytebpe("Ġheart", "ache", ".", "Ġ.", "Ã©", "Ċ")
    spaced = unigram("▁heart", "ache", ".", "▁é", "<0x0A>")
    assert sources(words, letters) == {
        "Ġheart": ["heart"],
        "ache": ["##ache"],
        ".": ["."],
        "Ġ.": ["."],
        "Ã©": ["é"],
        "Ċ": [],
    }
    assert sources(words, spaced) == {
        "▁heart": ["heart"],
        "ache": ["##ache"],
        ".": ["."],
        "▁é": ["é"],
        "<0x0A>": [],
    }
    assert sources(letters, words) == {"heart": ["Ġheart"], "##ache": ["ache"], ".": ["."], "é": ["Ã©"]}
    assert sources(spaced, words) == {"heart": ["▁heart"], "##ache": ["ache"], ".": ["."], "é": ["▁é"]}
    assert sources(letters, spaced)["<0x0A>"] == ["Ċ"] and sources(spaced, letters)["Ċ"] == ["<0x0A>"]


def test_new_pieces_are_composed_of_the_old_ones_of_their_text():
    old = wordpiece("cardio", "ache", "##ache", "##my", "##o", "##pathy", "pain", ",")
    new = sources(old, wordpiece("cardiomyopathy", "##myopathy", "##zz", "zz", "[unused0]"))
    assert new["cardiomyopathy"] == ["cardio", "##my", "##o", "##pathy"]
    assert new["##myopathy"] == ["##my", "##o", "##pathy"]
    assert new["##zz"] == new["zz"] == new["[unused0]"] == []
    assert sources(old, unigram("▁pain,▁ache"))["▁pain,▁ache"] == ["pain", ",", "ache"]
    letters = bytebpe("Ġ", "h", "i", "s", "hi", "Ġhi", merges=[("h", "i"), ("Ġ", "hi")])
    assert sources(letters, wordpiece("his", "##his")) == {"his": ["Ġhi", "s"], "##his": ["hi", "s"]}


def test_a_cased_piece_of_a_lower_cased_vocabulary_is_its_lower_case():
    assert sources(wordpiece("pain", "##s", lower_case=True), wordpiece("Pain", "PAINS")) == {
        "Pain": ["pain"],
        "PAINS": ["pain", "##s"],
    }


def test_a_placeholder_starts_as_its_label_or_as_itself():
    new = wordpiece("[**NAME**]", "[**DATE**]")
    assert sources(wordpiece("name", "[**DATE**]"), new) == {"[**NAME**]": ["name"], "[**DATE**]": ["[**DATE**]"]}


def test_rows_go_where_the_plan_says_and_kept_ones_to_the_bit():
    old, new = wordpiece("a", "b", "##c"), wordpiece("b", "abc", "[unused0]", "##c")
    rows = torch.randn(FIRST + 5, 7)
    rows[FIRST + 1, 0] = -0.0
    plan = remap_rows(old, len(rows), new)
    assert plan.counts == {"kept": FIRST + 2, "composed": 0, "mean": 2, "dropped": 1}
    moved = plan.apply(rows)
    assert torch.equal(moved[:FIRST], rows[:FIRST])
    assert moved[FIRST].numpy().tobytes() == rows[FIRST + 1].numpy().tobytes()
    assert torch.equal(moved[FIRST + 3], rows[FIRST + 2])
    # The mean is over pieces of text, without special tokens and rows that only pad.
    assert torch.equal(moved[FIRST + 1], rows[FIRST : FIRST + 3].mean(dim=0))
    composed = remap_rows(old, len(rows), wordpiece("ac"))
    assert torch.equal(composed.apply(rows)[FIRST], (rows[FIRST] + rows[FIRST + 2]) / 2)
    assert composed.apply(rows[:, 0]).shape == (FIRST + 1,)


def test_padding_stays_padding():
    old, new = wordpiece("a"), wordpiece("a", "[unused0]", "[unused1]")
    plan = remap_rows(old, FIRST + 2, new)
    assert plan.rows[FIRST:] == [[FIRST], [FIRST + 1], []]
    assert not plan.is_identity
    assert remap_rows(old, FIRST + 3, new).is_identity
    assert not remap_rows(old, FIRST + 4, new).is_identity


def test_more_pieces_than_rows_is_an_error():
    with pytest.raises(NotemillError, match="has 8 pieces and its embedding 7 rows"):
        remap_rows(wordpiece("a", "b", "c"), 7, wordpiece("a"))
