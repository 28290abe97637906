"""Whether a tokens folder still is what `tokens build` wrote, byte by byte."""

from pathlib import Path

from data_pipeline.files import sha256_file
from data_pipeline.gate.carried import told
from launch.errors import NotemillError
from pretrain.data.index import read_tokens_manifest
from tokenizer.folder import read_tokenizer_manifest
from tokenizer.indexed_dataset import TOKENIZER_FOLDER


def verify_tokens(tokens_dir: Path) -> list[str]:
    """Every difference between the folder and its manifest; training checks sizes alone. Empty when there is none."""
    try:
        manifest = read_tokens_manifest(tokens_dir)
        tokenizer = read_tokenizer_manifest(tokens_dir / TOKENIZER_FOLDER)
    except NotemillError as error:
        return [str(error).rstrip(".")]
    problems = []
    if tokenizer["fingerprint"] != manifest.tokenizer_fingerprint:
        problems.append(f"{TOKENIZER_FOLDER}/ is another tokenizer than the tokens were made with")
    if manifest.attestation is None:
        problems.append(told(None))
    for file in manifest.files:
        for kind in ("bin", "idx"):
            name = f"{file['prefix']}.{kind}"
            if sha256_file(tokens_dir / name) != file[f"{kind}_sha256"]:
                problems.append(f"{name} has other content than was written")
    return problems
