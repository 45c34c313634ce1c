"""Certificates from the command line: made by a run, also a killed one, verified, and opened by who may."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from MedUnlearnableLib.cli import main
from MedUnlearnableLib.engine.certificate.canonical import text_of
from MedUnlearnableLib.engine.certificate.keys import PrivateKey
from MedUnlearnableLib.engine.certificate.verify import Kind, Trust
from MedUnlearnableLib.engine.errors import Refused
from MedUnlearnableLib.files import formats
from MedUnlearnableLib.files.cases import find_cases
from MedUnlearnableLib.files.certificates import Sealer, verify_folder
from MedUnlearnableLib.files.keys import load_key
from MedUnlearnableLib.files.volume import TEMPORARY_PREFIX
from MedUnlearnableLib.jobs.job import Job
from MedUnlearnableLib.jobs.runner import RunningJob, start

KEY_PASSPHRASE, SHARED_PASSPHRASE = "correct horse battery", "staple 4711"
CASES = 30
KILLS = 4
ISSUER = PrivateKey(bytes(range(32)), "Clinic A")
DOCTOR = PrivateKey(bytes(range(1, 33)), "Doctor")


@dataclass(frozen=True)
class Ended:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A folder with two cases, a key and its passphrase file; `run` is the command line with its own settings."""

    folder: Path

    def run(self, *arguments: object) -> Ended:
        """Within this process, for speed; workers are processes of their own."""
        before, out, err = Path.cwd(), StringIO(), StringIO()
        on_end = signal.getsignal(signal.SIGTERM)  # which the command takes over
        os.chdir(self.folder)
        try:
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
                patch.setenv("MEDUNLEARNABLE_CONFIG", str(self.folder / "config"))
                code = main([str(word) for word in arguments])
        finally:
            os.chdir(before)
            signal.signal(signal.SIGTERM, on_end)
        return Ended(code, out.getvalue(), err.getvalue())

    def protect(self, out: str, *more: object) -> Any:
        return self.run("protect", "umed", "--images", "in", "--profile", "instant", "--out", out, *more)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    volumes.add(folder / "in", "a")
    volumes.add(folder / "in", "b", image=volumes.tissue(1))
    (folder / "words").write_text(f"{KEY_PASSPHRASE}\n{SHARED_PASSPHRASE}\n")
    (folder / "empty").touch()
    (folder / "word").write_text(f"{SHARED_PASSPHRASE}\n")
    made = Desk(folder)
    assert made.run("keygen", "--out", "mine", "--name", "Clinic A", "--passphrase-file", "words").code == 0
    assert made.run("keygen", "--out", "hers", "--name", "Doctor", "--no-passphrase").code == 0
    return made


@pytest.fixture(scope="module")
def release(desk: Desk) -> str:
    """A signed run that the doctor and whoever knows a passphrase may restore."""
    who = ("--recipient", "hers/mulkey.pub", "--recipient", "passphrase")
    ended = desk.protect("out", "--key", "mine/mulkey.json", "--passphrase-file", "words", *who)
    assert ended.code == 0, ended.err
    return "out"


def test_each_image_has_its_certificate_and_the_manifest_names_it(desk: Desk, release: str) -> None:
    names = {path.name for path in (desk.folder / release).iterdir()}
    assert {"a.mulcert.json", "b.mulcert.json"} <= names
    manifest = json.loads((desk.folder / release / "manifest.json").read_text())
    assert all(f"{entry['id']}.mulcert.json" in entry["files"] for entry in manifest["cases"])


def test_a_release_is_verified_before_and_after_its_issuer_is_pinned(desk: Desk, release: str) -> None:
    unknown = desk.run("verify", release)
    assert unknown.code == 3
    assert unknown.out.count("unknown issuer, unchanged") == 3  # two images and the sum
    assert desk.run("trust", "add", "mine/mulkey.pub").code == 0
    trusted = desk.run("verify", release, "--json")
    assert trusted.code == 0
    assert [json.loads(line)["verdict"] for line in trusted.out.splitlines()] == ["trusted, unchanged"] * 2
    assert "Clinic A" in desk.run("trust", "list").out

    for opener in (
        ("--key", "mine/mulkey.json", "--passphrase-file", "words"),
        ("--key", "hers/mulkey.json"),
        ("--passphrase-file", "word"),
    ):
        back = desk.folder / f"back{random.random()}.nii.gz"
        assert desk.run("restore", f"{release}/a.nii.gz", *opener, "--out", back).code == 0
        assert np.array_equal(formats.read(back).array, formats.read(desk.folder / "in" / "a.nii.gz").array)

    tampered = desk.folder / "tampered"
    tampered.mkdir()
    for path in (desk.folder / release).glob("a.*"):
        (tampered / path.name).write_bytes(path.read_bytes())
    (tampered / "a.nii.gz").write_bytes((desk.folder / "in" / "b.nii.gz").read_bytes())
    changed = desk.run("verify", "tampered/a.nii.gz")
    assert (changed.code, "other image or lossy copy" in changed.out) == (1, True)
    refused = desk.run("restore", "tampered/a.nii.gz", "--key", "hers/mulkey.json", "--out", "no.nii.gz")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert not (desk.folder / "no.nii.gz").exists()
    assert desk.run("verify", release, "--certificate", "x").code == 2

    assert desk.run("trust", "revoke", "mine/mulkey.pub").code == 0
    revoked = desk.run("verify", release)
    assert (revoked.code, "revoked" in revoked.out) == (1, True)


def test_no_secret_is_in_any_file_of_the_run(desk: Desk, release: str) -> None:
    seed = load_key(desk.folder / "mine" / "mulkey.json").unlock(KEY_PASSPHRASE).seed
    secrets = [KEY_PASSPHRASE.encode(), SHARED_PASSPHRASE.encode(), text_of(seed).encode(), seed]
    for path in desk.folder.rglob("*"):
        if path.is_file() and path.name not in ("word", "words"):
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path


WITHOUT_TORCH = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
from MedUnlearnableLib.cli import main
key = ("--key", "mine/mulkey.json", "--passphrase-file", "words")
assert main(["verify", "out"]) == 3
assert main(["restore", "out/b.nii.gz", *key, "--out", "without_torch.nii.gz"]) == 0
"""


def test_verify_and_restore_need_no_torch(desk: Desk, release: str) -> None:
    environment = {**os.environ, "MEDUNLEARNABLE_CONFIG": str(desk.folder / "nobody is pinned here")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=desk.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_where_there_is_no_terminal_a_passphrase_file_is_asked_for(desk: Desk) -> None:
    command = [sys.executable, "-m", "MedUnlearnableLib", "keygen", "--out", "fourth"]
    done = subprocess.run(
        command,
        cwd=desk.folder,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "no terminal to ask on; give --passphrase-file" in done.stderr) == (1, True)
    assert not (desk.folder / "fourth").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--recipient", "hers/mulkey.pub"), 2, "--recipient needs --key"),
        (("--key", "mine/mulkey.json", "--passphrase-file", "word"), 1, "the passphrase is wrong"),
        (("--key", "mine/mulkey.pub"), 1, "mulkey.pub"),
        (("--key", "nowhere.json"), 1, "nowhere.json"),
        (("--key", "hers/mulkey.json", "--recipient", "hello"), 1, "hello"),
        (("--key", "hers/mulkey.json", "--recipient", "mul-ed25519:abc"), 1, "no public key"),
        (("--key", "hers/mulkey.json", "--recipient", "passphrase", "--passphrase-file", "word"), 1, "line 2"),
    ],
)
def test_a_bad_key_is_refused_before_anything_is_written(desk: Desk, options: Any, code: int, message: str) -> None:
    ended = desk.protect("refused", *options)
    assert (ended.code, message in ended.err, ended.err.count("\n")) == (code, True, 1), ended.err
    assert not list(desk.folder.glob("refused*"))


def test_a_key_needs_a_passphrase_or_the_word_that_it_has_none(desk: Desk) -> None:
    for options, code in (
        (("--passphrase-file", "empty"), 1),
        (("--no-passphrase", "--passphrase-file", "word"), 2),
        (("--name", "a\nb"), 2),
    ):
        assert desk.run("keygen", "--out", "third", *options).code == code
    assert not (desk.folder / "third").exists()
    assert "overwritten" in desk.run("keygen", "--out", "hers", "--no-passphrase").err


def test_a_passphrase_is_asked_for_without_echo(tmp_path: Path) -> None:
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.execv(
            sys.executable, [sys.executable, "-m", "MedUnlearnableLib", "keygen", "--out", str(tmp_path), "--name", "a"]
        )
    shown = b""
    for prompt in (b"new key: ", b"again: "):
        while prompt not in shown:
            shown += os.read(terminal, 1000)
        time.sleep(0.1)  # the echo is off a moment after the prompt
        os.write(terminal, b"typed word\n")
    _, status = os.waitpid(process_id, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"typed" not in shown
    assert load_key(tmp_path / "mulkey.json").unlock("typed word").name == "a"


# The worker


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, volumes: Any) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "in"
    for number in range(CASES):
        volumes.add(folder, f"case{number:02}", image=volumes.tissue(number))
    return folder


def job_of(cohort: Path, out: Path) -> Job:
    return Job("umed", tuple(find_cases(cohort, None)), out, out.with_name("private"), profile="instant")


def trusted(key: Any) -> Trust:
    return Trust.TRUSTED if key == ISSUER.public else Trust.UNKNOWN


def kill(running: RunningJob) -> None:
    """Worker and starter at once: nobody tidies up."""
    os.killpg(running.process_id, signal.SIGKILL)
    running._worker._process.wait()
    running._worker._process.stdin.close()
    os.close(running._lock.descriptor)


def test_a_killed_run_goes_on_and_every_image_has_its_own_certificate(cohort: Path, tmp_path: Path) -> None:
    chance, out, sealer = random.Random(3), tmp_path / "out", Sealer(ISSUER, (DOCTOR.public,))
    for _ in range(KILLS):
        running = start(job_of(cohort, out), resume=True, sealer=sealer)
        before = len(list(out.glob("*.mulcert.json")))
        while running._worker._process.poll() is None and len(list(out.glob("*.mulcert.json"))) < before + 2:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.03))
        kill(running)
    assert len(list(out.glob("*.mulcert.json"))) < CASES
    result = start(job_of(cohort, out), resume=True, sealer=sealer).wait()
    assert result["exit_code"] == 0, result
    found = verify_folder(out, trusted)
    assert [verdict.kind for _, verdict in found] == [Kind.TRUSTED] * CASES
    assert not list(out.rglob(f"{TEMPORARY_PREFIX}*"))
    assert not list(out.glob("*.mulpay"))


def test_a_case_whose_certificate_was_tampered_with_is_done_again(cohort: Path, tmp_path: Path) -> None:
    out, sealer = tmp_path / "out", Sealer(ISSUER)
    few = job_of(cohort, out)
    few = replace(few, cases=few.cases[:3])
    assert start(few, sealer=sealer).wait()["exit_code"] == 0
    tampered = out / "case01.mulcert.json"
    tampered.write_text(tampered.read_text().replace("Clinic A", "Clinic B"))
    assert [verdict.kind for _, verdict in verify_folder(out, trusted)].count(Kind.BAD_CERTIFICATE) == 1
    assert start(few, resume=True, sealer=sealer).wait()["exit_code"] == 0
    assert [verdict.kind for _, verdict in verify_folder(out, trusted)] == [Kind.TRUSTED] * 3


@pytest.mark.parametrize("method", [("umed",), ("medlocker", "--logo", "X", "--margin", 0)], ids=lambda words: words[0])
def test_each_channel_of_a_data_set_has_a_certificate(desk: Desk, volumes: Any, method: tuple[Any, ...]) -> None:
    data, out = desk.folder / f"Dataset001_{method[0]}", f"set_{method[0]}"
    (data / "imagesTr").mkdir(parents=True)
    (data / "labelsTr").mkdir()
    for channel, values in enumerate((volumes.tissue(0), (volumes.tissue(1) / 7).astype(np.float32))):
        nib.save(nib.Nifti1Image(values.T, np.eye(4)), data / "imagesTr" / f"b_000{channel}.nii.gz")
    nib.save(nib.Nifti1Image(volumes.ball().T, np.eye(4)), data / "labelsTr" / "b.nii.gz")
    description = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "ball": 1}, "numTraining": 1}
    (data / "dataset.json").write_text(json.dumps({**description, "file_ending": ".nii.gz"}))
    run = ("--images", data, "--profile", "instant", "--out", out, "--key", "hers/mulkey.json")
    ended = desk.run("protect", *method, *run)
    assert ended.code == 0, ended.err
    found = desk.run("verify", out, "--json")
    assert (found.code, len(found.out.splitlines())) == (3, 2)
    for channel in range(2):
        name = f"imagesTr/b_000{channel}.nii.gz"
        back = f"{out}_{channel}.nii.gz"
        assert desk.run("restore", f"{out}/{name}", "--key", "hers/mulkey.json", "--out", back).code == 0
        before, after, restored = (
            formats.read(path).array for path in (data / name, desk.folder / out / name, desk.folder / back)
        )
        assert not np.array_equal(after, before)
        assert (restored.dtype, restored.tobytes()) == (before.dtype, before.tobytes())


def test_a_run_goes_on_with_the_same_key_and_recipients_only(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    running = start(job_of(cohort, out), sealer=Sealer(ISSUER))
    while not list(out.glob("*.mulcert.json")):
        time.sleep(0.002)
    kill(running)
    for other in (None, Sealer(DOCTOR), Sealer(ISSUER, (DOCTOR.public,))):
        with pytest.raises(Refused, match=r"another --(key|recipient)"):
            start(job_of(cohort, out), resume=True, sealer=other)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at the process in /proc")
def test_arguments_and_environment_of_the_worker_hold_no_secret(cohort: Path, tmp_path: Path) -> None:
    running = start(job_of(cohort, tmp_path / "out"), sealer=Sealer(ISSUER, (SHARED_PASSPHRASE,)))
    process = Path(f"/proc/{running.process_id}")
    while b"jobs.worker" not in (process / "cmdline").read_bytes():  # a moment after the start it is not filled in
        time.sleep(0.01)
    seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    running.cancel()
    running.wait()
    assert b"PATH=" in seen
    assert text_of(ISSUER.seed).encode() not in seen
    assert SHARED_PASSPHRASE.encode() not in seen


def test_a_worker_whose_starter_dies_before_the_secret_ends(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    Job("umed", (), tmp_path / "o", tmp_path / "p", key=ISSUER.public.text).write(folder)
    worker = [sys.executable, "-m", "MedUnlearnableLib.jobs.worker", str(folder), "0", "1"]
    assert subprocess.run(worker, stdin=subprocess.DEVNULL, check=False).returncode == 130


def test_the_secret_of_a_run_is_never_shown() -> None:
    sealer = Sealer(ISSUER, (DOCTOR.public, SHARED_PASSPHRASE))
    assert Sealer.from_text(sealer.to_text()) == sealer
    for secret in (text_of(ISSUER.seed), str(ISSUER.seed), SHARED_PASSPHRASE):
        assert secret not in repr(sealer)
