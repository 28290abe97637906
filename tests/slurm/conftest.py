"""One cluster for a module's tests, and what they ask of it."""

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, running_cluster, why_not


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("slurm") / "cluster") as environment:
        yield environment


@pytest.fixture
def slurm(cluster: dict[str, str]) -> Cluster:
    return Cluster(cluster)
