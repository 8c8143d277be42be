"""A Dask cluster: whom it can be trusted to be, and how to get to it.

Dask knows no users. Whoever reaches a scheduler runs code on its workers, and what workers send back is unpickled here,
which lets them run code here. So everybody who can speak to it must be somebody who may.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from coursekit.errors import CourseError

RETRIES = 3  # of what was running on a worker that was lost
CONNECT_S = 30


@dataclass(frozen=True)
class Scheduler:
    """Where a cluster's scheduler is, and by what it is known.

    Attributes:
        address: such as "tls://10.0.0.1:8786".
        is_insecure: whether an address that anybody may listen in on is taken.
        ca, cert, key: files of the certificates that TLS needs; None for those that Dask's own configuration names.
    """

    address: str
    is_insecure: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """See whether it may be connected to.

        Raises:
            CourseError: others than its owner may be there, or a certificate is not.
        """
        files = {"--tls-ca": self.ca, "--tls-cert": self.cert, "--tls-key": self.key}
        given = {option: path for option, path in files.items() if path is not None}
        if self._protocol == "tls":
            for option, path in given.items():
                if not path.is_file():
                    raise CourseError(f"{option} {path}: no such file")
        elif given:
            raise CourseError(f"--scheduler {self.address}: {', '.join(given)} need a tls:// address")
        elif not self.is_insecure and not self._is_here:
            raise CourseError(
                f"--scheduler {self.address}: without TLS whoever reaches it can run code as you do. Give a tls:// "
                "address with --tls-ca, --tls-cert and --tls-key; or --insecure-scheduler, where only you can reach it"
            )

    @property
    def _protocol(self) -> str:
        protocol, is_given, _ = self.address.partition("://")
        return protocol.lower() if is_given else "tcp"

    @property
    def _is_here(self) -> bool:
        """Whether it is this machine, by its own name for itself."""
        if self._protocol == "inproc":
            return True
        place = self.address.rpartition("://")[2]
        host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(host).is_loopback
        return host.lower() == "localhost"


@contextlib.contextmanager
def cluster(scheduler: Scheduler) -> Iterator[Executor]:
    """Give an executor whose work is done by a cluster's workers.

    Raises:
        CourseError: it may not be connected to, Dask is not installed, or nobody answers or works there.
    """
    scheduler.check()
    try:
        from distributed import Client
        from distributed.security import Security
    except ModuleNotFoundError as error:
        raise CourseError("--scheduler needs Dask: pip install --editable '.[cluster]'") from error
    files = {"tls_ca_file": scheduler.ca, "tls_client_cert": scheduler.cert, "tls_client_key": scheduler.key}
    try:
        security = Security(**{name: str(path) for name, path in files.items() if path is not None})
        client = Client(scheduler.address, timeout=CONNECT_S, security=security)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        # TypeError: it is to be TLS, and there are no certificates. OSError is also SSL's.
        raise CourseError(_unreachable(scheduler)) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            raise CourseError(
                f"--scheduler {scheduler.address}: it has no workers; start some with 'dask worker {scheduler.address}'"
            ) from error
        executor = client.get_executor(pure=False, retries=RETRIES)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def _unreachable(scheduler: Scheduler) -> str:
    said = f"--scheduler {scheduler.address}: no Dask scheduler answers there"
    if scheduler.address.lower().startswith("tls:"):
        return f"{said} that takes these certificates; give --tls-ca, --tls-cert and --tls-key as it was given them"
    return f"{said}; start one with 'dask scheduler'"
