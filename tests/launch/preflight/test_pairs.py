"""Every pair of nodes meets once, and a slow link is told from its kind."""

from itertools import combinations

import pytest

from launch.preflight.pairs import members_of, rounds, slow_links


@pytest.mark.parametrize("number", [2, 3, 4, 7, 8])
def test_every_pair_meets_once_and_nobody_twice_in_a_round(number):
    found = rounds(list(range(10, 10 + number)))
    assert sorted(pair for pairs in found for pair in pairs) == list(combinations(range(10, 10 + number), 2))
    assert all(len({rank for pair in pairs for rank in pair}) == 2 * len(pairs) for pairs in found)


def test_many_ranks_are_seen_by_one_a_host():
    assert members_of(["a", "a", "b", "b"]) == [0, 1, 2, 3]
    assert members_of(["a", "a", "b", "b", "c", "c"], most=5) == [0, 2, 4]


def test_a_slow_link_is_one_among_its_kind():
    hosts = ["a", "a", "b", "b", "c"]
    speeds = {pair: 100.0 if hosts[pair[0]] == hosts[pair[1]] else 10.0 for pair in combinations(range(5), 2)}
    assert slow_links(speeds, hosts) == {}
    assert slow_links(speeds | {(0, 4): 4.0}, hosts) == {(0, 4): 4.0}
