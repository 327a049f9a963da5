"""Workers of a run: nobody else reaches them, and they need nothing of the program that started them."""

import http.client
import os
import platform
import resource
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from rdu_bench.engine import cluster
from rdu_bench.engine.suite import SuiteError

pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]


def listening():
    """(process, address, port) of every socket on which this process and its children wait for others."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        (process.pid, at.laddr.ip, at.laddr.port)
        for process in family
        for at in process.net_connections("inet")
        if at.status == psutil.CONN_LISTEN
    }


@pytest.fixture(scope="module")
def running():
    """A client with two workers, and the sockets that came with them."""
    before = listening()
    with cluster.client(2, None) as client:
        client.wait_for_workers(2, timeout=60)
        yield client, sorted(listening() - before)


def test_workers_do_what_they_are_given(running):
    client, _ = running
    assert client.submit(sum, [1, 2], pure=False).result(timeout=60) == 3


def cleared(megabytes=16, times=40):
    """The share of the pages of a tensor, made and freed again and again, that the system clears for this process."""
    import torch

    torch.ones(megabytes * 2**18).sum()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(megabytes * 2**18).sum()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults * resource.getpagesize() / (times * megabytes * 2**20)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how memory is kept is told to glibc alone")
def test_a_worker_keeps_the_memory_of_freed_tensors_for_the_next_ones(running):
    """Else the system clears it for every layer of every step, in up to half of the time of a convolutional model."""
    client, _ = running
    assert client.submit(cleared, pure=False).result(timeout=60) < 0.25


def woken(seconds=2.0):
    """How often the thread that does not compute woke up while another one waited, a second."""
    import time

    first = psutil.Process().num_ctx_switches  # of the process's first thread
    before = first().voluntary
    time.sleep(seconds)
    return (first().voluntary - before) / seconds


@pytest.mark.skipif(platform.system() != "Linux", reason="Linux alone tells how often a thread woke up")
def test_a_worker_is_not_looked_at_while_it_trains(running):
    """Else distributed takes the interpreter from the training a hundred times a second."""
    client, _ = running
    assert client.submit(woken, pure=False).result(timeout=60) < 25


def test_every_socket_is_of_the_loopback_address(running):
    _, sockets = running
    assert len({pid for pid, _, _ in sockets}) == 3  # ours and two workers
    assert {address for _, address, _ in sockets} == {"127.0.0.1"}


def speaks_http(port):
    """Whether plain HTTP is answered at a port."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    return True


def test_no_page_is_served(running):
    _, sockets = running
    for port in (port for _, _, port in sockets if speaks_http(port)):
        for page in ("/", "/status", "/info/main/workers.html", "/metrics", "/health", "/json/counts.json"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", page)
            assert connection.getresponse().status == 404, page


@pytest.mark.parametrize("credentials", ["none", "plain text", "another run's"])
def test_who_lacks_the_credentials_of_the_run_runs_nothing_in_it(running, credentials, tmp_path):
    from distributed import Client
    from distributed.security import Security

    client, sockets = running
    security = Security.temporary() if credentials == "another run's" else None
    ports = [port for _, _, port in sockets if not speaks_http(port)]
    assert len(ports) == 5  # the scheduler's, two of workers, two of those who watch them
    scheme = "tcp" if credentials == "plain text" else "tls"
    scheduler = client.scheduler.address.rpartition(":")[2]
    mark = tmp_path / "was here"
    with pytest.raises((OSError, TypeError, ValueError, RuntimeError)):  # noqa: SIM117
        with Client(f"{scheme}://127.0.0.1:{scheduler}", security=security, timeout=2, set_as_default=False) as other:
            other.submit(mark.touch).result(timeout=5)
    assert not mark.exists()
    for port in ports:
        assert not answers(port, security)


def answers(port, security):
    """Whether a peer that speaks TLS gets a word out of a port."""
    context = (
        ssl.create_default_context() if security is None else security.get_connection_args("client")["ssl_context"]
    )
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as secure:
            secure.settimeout(3)
            return bool(secure.recv(1))
    except OSError:
        return False


def test_the_run_itself_is_answered(running):
    """So that the test above can fail."""
    client, _ = running
    assert answers(int(client.scheduler.address.rpartition(":")[2]), client.security)


def test_an_address_where_nothing_answers_is_said():
    with pytest.raises(SuiteError, match="no dask scheduler answers"), cluster.client(1, "no address at all"):
        pass


AGAIN = """
import dask
from rdu_bench.engine.cluster import client
from rdu_bench.engine.suite import SuiteError

try:
    with client(1, "no address at all"):
        pass
except SuiteError:
    dask.config.get("distributed.comm.tls.ciphers")  # which the workers of a second run read
    print("whole")
"""


def test_a_run_leaves_the_settings_of_dask_to_the_next_one():
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["whole"], done.stderr


SUITE = """
models = ["vae"]
elbo = false
heads = ["linear"]
budget = { base = "smoke", steps = 5, probe_steps = 5, head_steps = 5, codes = 50, test = 50 }

[[datasets]]
name = "digits"
hidden = [16]
latent = 3
sigmas = [2]
"""
WORKER = """
from rdu_bench.engine.cluster import client

print("top")
with client(1, None) as connected:
    print(connected.submit(sum, [1, 2]).result())
"""
RUN = """
import rdu_bench

print("top")
print(rdu_bench.run("tiny.toml", jobs=2, out="out", quiet=True).done + 2)
"""


@pytest.mark.parametrize(
    ("text", "how"),
    [(WORKER, "file"), (WORKER, "stdin"), pytest.param(RUN, "file", marks=pytest.mark.slow)],
    ids=["workers", "workers from stdin", "run"],
)
def test_a_script_without_a_main_guard_runs_once(tmp_path, text, how):
    (tmp_path / "tiny.toml").write_text(SUITE)
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py" if how == "file" else "-"],
        input=text if how == "stdin" else None,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "top\n3\n"
    assert "Traceback" not in done.stderr


def test_other_processes_of_the_program_still_know_its_main_module():
    from multiprocessing import spawn

    before = spawn.get_preparation_data
    with cluster._without_main():
        told = spawn.get_preparation_data("SpawnProcess-1")
        bare = spawn.get_preparation_data(f"{cluster.WORKER} (from Nanny)")
        assert told.keys() - bare.keys() <= {"init_main_from_path", "init_main_from_name"}
        assert not {"init_main_from_path", "init_main_from_name"} & bare.keys()
    assert spawn.get_preparation_data is before
