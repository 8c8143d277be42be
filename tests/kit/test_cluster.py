"""Which cluster may be given students' code, and how one is reached."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from autograder.cluster import Scheduler, cluster
from coursekit.errors import CourseError


@pytest.mark.parametrize(
    "address",
    [
        *("tcp://127.0.0.1:8786", "127.0.0.1:8786", "tcp://localhost:8786", "localhost:8786", "tcp://[::1]:8786"),
        *("tls://10.0.0.1:8786", "TLS://grader.example:8786", "inproc://10.0.0.1/1/2", "tcp://127.1.2.3:1"),
    ],
)
def test_this_machine_and_tls_are_taken(address):
    Scheduler(address).check()


@pytest.mark.parametrize(
    "address",
    [
        *("tcp://10.0.0.1:8786", "10.0.0.1:8786", "tcp://grader.example:8786", "tcp://[2001:db8::1]:8786", "x"),
        *("ws://10.0.0.1:8786", "ucx://10.0.0.1:8786", "tcp://localhost.example:8786", "tcp://0.0.0.0:8786", ""),
        *("tcp://127.0.0.1.example:8786", "tls//10.0.0.1", "tcp://127.0.0.1@10.0.0.1:8786"),
    ],
)
def test_another_machine_without_tls_is_refused_before_anything_is_sent_to_it(address, monkeypatch):
    with pytest.raises(CourseError, match="--insecure-scheduler") as refused:
        Scheduler(address).check()
    assert "\n" not in str(refused.value) and "tls://" in str(refused.value)
    import distributed

    monkeypatch.setattr(distributed, "Client", lambda *_, **__: pytest.fail("it was connected to"))
    with pytest.raises(CourseError), cluster(Scheduler(address)):
        pass
    Scheduler(address, is_insecure=True).check()


def test_certificates_are_for_tls_and_must_be_there(tmp_path):
    with pytest.raises(CourseError, match="--tls-ca need a tls:// address"):
        Scheduler("tcp://127.0.0.1:1", ca=tmp_path).check()
    with pytest.raises(CourseError, match=r"--tls-key .*key\.pem: no such file"):
        Scheduler("tls://127.0.0.1:1", key=tmp_path / "key.pem").check()


def run_apart(script: str, *arguments: object) -> str:
    """Run Python in a process of its own, since Dask leaves threads behind; returns what it prints."""
    script = "import sys\nfrom autograder import cluster as clusters\nfrom autograder.cluster import *\n" + script
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tls_without_certificates_is_one_line():
    said = run_apart(
        """
clusters.CONNECT_S = 3
try:
    with cluster(Scheduler("tls://127.0.0.1:9")):
        pass
except CourseError as error:
    print(error)
"""
    )
    assert "--tls-ca, --tls-cert and --tls-key" in said and said.count("\n") == 1


def test_a_cluster_without_workers_is_one_line():
    pytest.importorskip("distributed")
    said = run_apart(
        """
import distributed
clusters.CONNECT_S = 1
with distributed.LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=None) as local:
    try:
        with cluster(Scheduler(local.scheduler_address)):
            pass
    except CourseError as error:
        print(error)
"""
    )
    assert "it has no workers; start some" in said and said.count("\n") == 1


def certificates(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and so is its own authority; and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=course"]
    try:
        subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl to make certificates with")
    return cert, key


@pytest.mark.slow
def test_a_cluster_that_takes_only_who_has_its_certificate(tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "other").mkdir()
    said = run_apart(
        """
import distributed
cert, key, other_cert, other_key = map(Path, sys.argv[1:])
names = [f"tls_{role}_{what}" for role in ("client", "scheduler", "worker") for what in ("cert", "key")]
files = {name: str(cert if name.endswith("cert") else key) for name in names}
security = distributed.Security(tls_ca_file=str(cert), require_encryption=True, **files)
with distributed.LocalCluster(
    n_workers=1, threads_per_worker=1, processes=False, protocol="tls", security=security, dashboard_address=None
) as local:
    address = local.scheduler_address
    print(address.partition(":")[0])
    with cluster(Scheduler(address, ca=cert, cert=cert, key=key)) as executor:
        print(executor.submit(sum, [1, 2]).result(30))
    clusters.CONNECT_S = 5
    try:
        with cluster(Scheduler(address, ca=other_cert, cert=other_cert, key=other_key)):
            pass
    except CourseError as error:
        print(error)
""",
        *certificates(tmp_path),
        *certificates(tmp_path / "other"),
    )
    kind, total, refusal = said.splitlines()
    assert (kind, total) == ("tls", "3") and "no Dask scheduler answers there that takes these certificates" in refusal


def test_the_command_refuses_in_one_line(tmp_path):
    command = [sys.executable, "-m", "autograder", "grade", str(tmp_path), "--out", str(tmp_path / "grades")]
    done = subprocess.run([*command, "--scheduler", "tcp://10.9.8.7:1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "whoever reaches it can run code as you do" in done.stderr and not (tmp_path / "grades").exists()
    assert json.dumps(done.stdout) == '""'
