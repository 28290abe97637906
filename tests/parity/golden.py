"""A short run whose losses are written down, so that a change of the numbers does not go unseen.

python -m tests.parity.golden          # writes golden_losses.txt again; say in the commit why the numbers changed
"""

import tempfile
from pathlib import Path

from tests.pretrain.invented_tokens import invent_documents, write_tokens
from tests.pretrain.launching import losses, train

FILE = Path(__file__).with_name("golden_losses.txt")


def golden_run(folder: Path) -> list[tuple[float, float, float]]:
    """(MLM loss, order loss, gradient norm) of ten steps in fp32 in one process, on tokens that no other stage made."""
    tokens = write_tokens(
        folder / "tokens",
        {("train", "notes"): invent_documents(120, seed=1), ("valid", "notes"): invent_documents(10, seed=2)},
    )
    return losses(
        train(
            tokens, folder / "run", "train.lr_schedule=cosine", "train.start_batch_size=4", "train.batch_ramp_rows=16"
        )
    )


def read_golden() -> list[tuple[float, ...]]:
    return [tuple(map(float, line.split())) for line in FILE.read_text().splitlines() if not line.startswith("#")]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        steps = golden_run(Path(folder))
    lines = ["# MLM loss, order loss, gradient norm"] + [" ".join(f"{value:.7f}" for value in step) for step in steps]
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
