import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from eval.private.randomness import SecretRandom, new_secret
from eval.private.sampling import drawn_patients


def test_noise_is_normal() -> None:
    drawn = SecretRandom(new_secret(3)).normals("noise", 0, 0, 200_000)
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert abs(drawn.var() - 1) < 0.02
    # Far out as well, where privacy is decided.
    assert (np.abs(drawn) > 3).mean() == pytest.approx(2 * stats.norm.sf(3), rel=0.2)


def test_streams_of_other_steps_indices_purposes_and_secrets_are_unrelated() -> None:
    random, other = SecretRandom(new_secret(3)), SecretRandom(new_secret(4))
    drawn = np.stack(
        [
            random.normals("noise", 0, 0, 20_000),
            random.normals("noise", 1, 0, 20_000),
            random.normals("noise", 0, 1, 20_000),
            random.normals("windows", 0, 0, 20_000),
            other.normals("noise", 0, 0, 20_000),
        ]
    )
    assert np.abs(np.corrcoef(drawn) - np.eye(5)).max() < 0.04


def test_a_step_can_be_drawn_again_in_any_order() -> None:
    random = SecretRandom(new_secret(None))
    later, first = random.normals("noise", 7, 2, 1001), random.normals("noise", 3, 0, 10)
    assert np.array_equal(first, random.normals("noise", 3, 0, 10))
    assert np.array_equal(later, random.normals("noise", 7, 2, 1001))


def test_the_stream_is_aes_in_counter_mode() -> None:
    """Against a key stream made block by block in electronic code book mode."""
    secret = new_secret(9)
    blocks = b"".join(bytes([1, 0, 0, 0]) + (5).to_bytes(4, "big") + bytes(4) + i.to_bytes(4, "big") for i in range(8))
    encryptor = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()
    words = np.frombuffer(encryptor.update(blocks), dtype="<u8")
    assert np.array_equal(SecretRandom(secret).uniforms("patients", 5, 16), (words >> np.uint64(11)) / 2.0**53)


def test_secrets_come_from_the_operating_system_unless_seeded() -> None:
    assert new_secret(None) != new_secret(None)
    assert new_secret(1) == new_secret(1) != new_secret(2)


def test_each_patient_is_drawn_by_its_own_coin() -> None:
    """Poisson sampling: the size of a step is binomial, and two patients are drawn independently."""
    random = SecretRandom(new_secret(8))
    steps = np.zeros((2000, 50), dtype=bool)
    for step in range(len(steps)):
        steps[step, drawn_patients(random, step, 50, 0.1)] = True
    sizes = steps.sum(axis=1)
    assert sizes.mean() == pytest.approx(5, abs=0.2)
    assert sizes.var() == pytest.approx(50 * 0.1 * 0.9, rel=0.15)
    assert np.abs(np.corrcoef(steps.T) - np.eye(50)).max() < 0.12
    assert (sizes == 0).any()
