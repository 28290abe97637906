import pytest

from tokenizer.sample import draw_sample, share_budget


def test_budget_is_spent_and_no_stratum_gets_more_than_it_has():
    sizes = {("a", "x"): 10_000, ("a", "y"): 100, ("b", "z"): 1_000}
    shares = share_budget(sizes, 2_000, 0.7)
    assert sum(shares.values()) == pytest.approx(2_000)
    assert all(0 < shares[stratum] <= sizes[stratum] for stratum in sizes)
    rates = {stratum: shares[stratum] / size for stratum, size in sizes.items()}
    assert rates["a", "y"] > rates["b", "z"] > rates["a", "x"], "small strata are drawn more"
    proportional = share_budget(sizes, 2_000, 1.0)
    assert proportional["a", "x"] / proportional["a", "y"] == pytest.approx(100)
    assert share_budget(sizes, 50_000, 0.7) == {stratum: float(size) for stratum, size in sizes.items()}


def test_samples_are_seeded_and_near_their_budget(corpus):
    everything = draw_sample(corpus, budget_bytes=10**9, smoothing=0.7, seed=1)
    total = sum(everything.bytes_of_stratum.values())
    assert sum(len(text.encode()) for text in everything.texts()) == total
    half = draw_sample(corpus, budget_bytes=total // 2, smoothing=0.7, seed=1)
    texts = list(half.texts())
    assert texts == list(draw_sample(corpus, budget_bytes=total // 2, smoothing=0.7, seed=1).texts())
    assert texts != list(draw_sample(corpus, budget_bytes=total // 2, smoothing=0.7, seed=2).texts())
    assert 0.35 * total < sum(len(text.encode()) for text in texts) < 0.65 * total
