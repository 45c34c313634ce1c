"""Runs that train: killed inside the training and resumed, and trained by two processes of torchrun together."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from MedUnlearnableLib.files.cases import find_cases
from MedUnlearnableLib.jobs.events import CANCEL_FILE, EVENTS_FILE
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import JOB_FOLDER, start
from MedUnlearnableLib.jobs.share import Share
from MedUnlearnableLib.jobs.worker import main as work
from PIL import Image

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, and kills with a signal")

CASES = 16  # the smallest cohort that can be trained on
ITERATIONS = 60
KILLS_INSIDE_THE_TRAINING = 10


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures with a bright square."""
    folder = tmp_path_factory.mktemp("cohort") / "in"
    folder.mkdir()
    for number in range(CASES):
        chance = np.random.default_rng(number)
        label = np.zeros((32, 32), np.uint8)
        row, column = chance.integers(4, 18, 2)
        label[row : row + 9, column : column + 9] = 1
        Image.fromarray((chance.integers(80, 140, (32, 32)) + 40 * label).astype(np.uint8)).save(
            folder / f"p{number:02}.png"
        )
        Image.fromarray(label).save(folder / f"p{number:02}_mask.png")
    return folder


def job_of(cohort: Path, out: Path, iterations: int = ITERATIONS, profile: str = "paper") -> Job:
    tiny = {"width": 2, "iterations": iterations}
    cases = tuple(find_cases(cohort, None))
    private = out.with_name(f"{out.name}-private")
    return Job("umed", cases, out, private, profile=profile, seed=3, device="cpu", parameters=tiny)


def images(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("p*.png")}


@pytest.fixture(scope="module", autouse=True)
def what_torch_loads_late() -> None:
    """Loaded here, it need not be loaded in every fork. No backward pass: its threads would not survive a fork."""
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    torch.optim.AdamW([weight]).step()


def start_worker(job_folder: Path) -> multiprocessing.process.BaseProcess:
    """The worker in a fork of this process, which has loaded torch already; it keeps every step of its training."""
    process = multiprocessing.get_context("fork").Process(target=_work, args=(job_folder,))
    process.start()
    return process


def _work(job_folder: Path) -> None:
    from MedUnlearnableLib.engine.umed import joint_training

    joint_training._KEEP_EVERY_SECONDS = 0.0
    torch.set_num_threads(1)
    starter, _ = os.pipe()  # whose other end is never closed: the starter lives
    os.dup2(starter, 0)
    os._exit(work(job_folder, Share()))


def run_undisturbed(job: Job) -> Path:
    folder = job.private / JOB_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    job.write(folder)
    process = start_worker(folder)
    process.join()
    assert process.exitcode == 0, (folder / EVENTS_FILE).read_text()[-500:]
    return folder


def written(kept: Path) -> int:
    """How many steps the kept training has made, or trials."""
    state = json.loads(kept.read_text()) if kept.exists() else {"iteration": 0}
    return state["iteration"] if "iteration" in state else len(state["scores"])


def is_training(job_folder: Path) -> bool:
    """Whether the last thing told of the run was a step of the training."""
    events = job_folder / EVENTS_FILE
    lines = events.read_bytes().splitlines() if events.exists() else []
    return bool(lines) and b'"stage": "train"' in lines[-1]


def test_a_run_killed_at_ten_points_of_its_training_ends_with_the_bytes_of_an_undisturbed_one(
    cohort: Path, tmp_path: Path
) -> None:
    """Each run goes on from what the one before had kept, one of them is cancelled, the last one protects the cases."""
    expected = job_of(cohort, tmp_path / "undisturbed")
    run_undisturbed(expected)
    job, chance = job_of(cohort, tmp_path / "killed"), random.Random(2)
    folder = job.private / JOB_FOLDER
    folder.mkdir(parents=True)
    job.write(folder)
    kept = folder / "training.json"
    inside, reached = 0, [0]
    while inside < KILLS_INSIDE_THE_TRAINING:
        (folder / EVENTS_FILE).unlink(missing_ok=True)
        process, before = start_worker(folder), written(kept)
        steps = chance.randrange(1, 4)
        while process.is_alive() and not (is_training(folder) and written(kept) - before >= steps):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the training was over before it could be interrupted"
        inside += is_training(folder)
        reached.append(written(kept))
    assert not images(job.out)
    assert reached == sorted(reached)
    assert KILLS_INSIDE_THE_TRAINING <= reached[-1] < ITERATIONS
    cancelled = start(job, resume=True)
    assert cancelled.wait(lambda event: cancelled.cancel())["exit_code"] == 130
    assert written(kept) == reached[-1], "what was trained is kept, though no case is finished"
    (folder / CANCEL_FILE).unlink()
    run_undisturbed(job)
    assert images(job.out) == images(expected.out)
    assert len(images(job.out)) == CASES
    states = [json.loads((one.private / JOB_FOLDER / "state.json").read_text())["state"] for one in (job, expected)]
    assert states[0] == states[1]


def test_a_search_for_the_carrier_that_is_killed_after_some_trials_ends_with_the_same_bytes(
    cohort: Path, tmp_path: Path
) -> None:
    expected = job_of(cohort, tmp_path / "undisturbed", profile="standard")
    run_undisturbed(expected)
    job = job_of(cohort, tmp_path / "killed", profile="standard")
    folder = job.private / JOB_FOLDER
    folder.mkdir(parents=True)
    job.write(folder)
    for trials in (1, 4, 8):
        process = start_worker(folder)
        while process.is_alive() and written(folder / "training.json") < trials:
            time.sleep(0.002)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the search was over before it could be interrupted"
    run_undisturbed(job)
    assert images(job.out) == images(expected.out)
    states = [json.loads((one.private / JOB_FOLDER / "state.json").read_text())["state"] for one in (job, expected)]
    assert states[0] == states[1]


# --- Several processes ---

_RANK = """
import sys
from pathlib import Path
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import start
from MedUnlearnableLib.jobs.share import Share
result = start(Job.read(Path(sys.argv[1])), share=Share.from_environment()).wait()
print(result["message"], flush=True)
sys.exit(result["exit_code"])
"""


def launch(job: Job, *launcher: str, **variables: str) -> subprocess.Popen[str]:
    """Starts a process of the job; `launcher` may start more."""
    folder = job.out.parent
    (folder / "rank.py").write_text(_RANK)
    return subprocess.Popen(
        [sys.executable, *launcher, str(folder / "rank.py"), str(job.write(folder))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )


def losses(job_folder: Path) -> dict[int, float]:
    """By step, as far as they were told."""
    events = map(json.loads, (job_folder / EVENTS_FILE).read_text().splitlines())
    return {event["step"]: event["value"] for event in events if event["event"] == "curve"}


def test_two_processes_of_torchrun_train_together_and_share_the_cases(cohort: Path, tmp_path: Path) -> None:
    job = job_of(cohort, tmp_path / "out", iterations=6)
    launched = launch(job, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    shown, _ = launched.communicate(timeout=200)
    assert launched.returncode == 0, shown
    assert f"{CASES} of {CASES} cases done" in shown
    folder = tmp_path / "out-private" / JOB_FOLDER
    first, second = losses(folder), losses(folder / "rank1")
    both = first.keys() & second.keys()
    assert 6 in both
    assert {step: first[step] for step in both} == {step: second[step] for step in both}, "they make the same steps"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["complete"]
    assert {case["state"] for case in manifest["cases"]} == {"protected"}
    assert [len(path.read_text().splitlines()) for path in sorted(folder.glob("journal-*.jsonl"))] == [8, 8]


def test_two_processes_share_the_trials_of_standard_and_protect_as_one_does(cohort: Path, tmp_path: Path) -> None:
    alone = job_of(cohort, tmp_path / "alone" / "out", iterations=4, profile="standard")
    run_undisturbed(alone)
    job = job_of(cohort, tmp_path / "out", iterations=4, profile="standard")
    launched = launch(job, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    shown, _ = launched.communicate(timeout=200)
    assert launched.returncode == 0, shown
    assert images(job.out) == images(alone.out)
    kept = [json.loads((one.private / JOB_FOLDER / "training.json").read_text())["scores"] for one in (job, alone)]
    assert kept[0] == kept[1]


def test_when_one_of_two_dies_in_the_training_the_other_says_so_and_one_can_go_on_alone(
    cohort: Path, tmp_path: Path
) -> None:
    job = job_of(cohort, tmp_path / "out")
    folder = job.private / JOB_FOLDER
    ranks = [launch(job, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    while ranks[0].poll() is None and not is_training(folder / "rank1"):
        time.sleep(0.01)
    for worker in workers_of(folder, rank=1):
        os.kill(worker, signal.SIGKILL)
    shown = [rank.communicate(timeout=200)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [1, 1]
    assert "another process of the training has ended; start all again with --resume" in shown[0]
    assert "was ended by signal 9" in shown[1]
    assert not images(job.out)
    run_undisturbed(job)
    assert len(images(job.out)) == CASES


def workers_of(job_folder: Path, rank: int) -> list[int]:
    """Process ids, from what the system knows of running commands."""
    wanted = b"\0".join([b"MedUnlearnableLib.jobs.worker", str(job_folder).encode(), str(rank).encode(), b""])
    commands = {path: path.joinpath("cmdline") for path in Path("/proc").iterdir() if path.name.isdecimal()}
    found = []
    for path, command in commands.items():
        try:
            found += [int(path.name)] if wanted in command.read_bytes() else []
        except OSError:  # it has just ended
            continue
    return found


def test_more_processes_than_samples_in_a_batch_are_refused() -> None:
    from MedUnlearnableLib.engine.errors import Refused
    from MedUnlearnableLib.engine.team import Team

    batch = np.arange(5)
    parts = [Team(rank, 2).part(batch) for rank in range(2)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), batch)
    with pytest.raises(Refused, match="8 processes cannot share batches of 5; start 5 or fewer"):
        Team(0, 8).part(batch)
