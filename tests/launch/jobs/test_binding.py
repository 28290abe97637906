"""Ranks share the cores of their node, next to their GPUs."""

import os

from launch.jobs.binding import VARIABLE, bind_rank, cores_in, share_of


def test_cores_are_shared_evenly_and_none_is_left_out():
    shares = [share_of(rank, range(10, 18), [None] * 3, {}) for rank in range(3)]
    assert sorted(core for share in shares for core in share) == list(range(10, 18))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_rank_stays_on_the_node_of_its_gpu():
    nodes, cores = [1, 1, 0, 0], {0: {0, 1, 2, 3}, 1: {4, 5, 6, 7}}
    assert [share_of(rank, range(8), nodes, cores) for rank in range(4)] == [{4, 5}, {6, 7}, {0, 1}, {2, 3}]
    # A job that was given no core of that node.
    assert share_of(0, [0, 1], [1, 1], cores) == {0}


def test_more_ranks_than_cores_share_all():
    assert share_of(2, [5], [None] * 4, {}) == {5}


def test_a_process_is_bound_only_when_asked():
    before = os.sched_getaffinity(0)
    try:
        bind_rank({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": str(len(before))})
        assert os.sched_getaffinity(0) == before
        bind_rank({VARIABLE: "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": str(len(before))})
        assert os.sched_getaffinity(0) == {min(before)}
    finally:
        os.sched_setaffinity(0, before)


def test_the_kernels_lists():
    assert cores_in("0-2,8\n") == {0, 1, 2, 8} and cores_in("\n") == set()
