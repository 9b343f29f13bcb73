# SPDX-License-Identifier: Apache-2.0
"""VMware: a datastore of the vCenter simulator, beside curl to its web interface."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from glancekit_vmware_store.testing import DATACENTER, DATASTORES, PASSWORD, USER, Simulator
from pyVmomi import SoapStubAdapter, vim

from benchmarks.media.medium import Medium

FILE = "tool/copy"


class Vmware(Medium):
    """A datastore of a simulated vCenter."""

    driver = "vmware"
    tool = "curl"

    def __init__(self, folder: Path) -> None:
        self._vcenter = Simulator(folder / "vcenter", options="-make-folders")

    def __enter__(self) -> Self:
        self._vcenter.__enter__()
        where = f"dcPath={DATACENTER}&dsName={DATASTORES[0]}"
        self._url = f"https://{self._vcenter.address}/folder/{FILE}?{where}"
        self._curl = ["curl", "-sS", "--fail", "--noproxy", "*"]
        self._curl += ["--cacert", str(self._vcenter.ca_file), "-b", self._cookie()]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._vcenter.stop()

    def options(self) -> dict[str, str]:
        """Return how the service reaches it."""
        given = self._vcenter.settings()
        return given | {"vmware_datastores": given["vmware_datastores"][0]}

    def put(self, source: Path) -> None:
        """Upload with curl, and digest the file beside it."""
        digests = [
            threading.Thread(target=_digest, args=(source, name)) for name in ("md5", "sha512")
        ]
        for thread in digests:
            thread.start()
        subprocess.run([*self._curl, "-T", str(source), self._url], check=True)
        for thread in digests:
            thread.join()

    def get(self, to: BinaryIO) -> None:
        """Download with curl."""
        subprocess.run([*self._curl, self._url], stdout=to, check=True)

    def remove(self) -> None:
        """Remove the file behind the server's back: there is no other way by curl."""
        (self._vcenter.datastore() / FILE).unlink()

    def _cookie(self) -> str:
        """Log in, as curl cannot."""
        host, _, port = self._vcenter.address.partition(":")
        trust = ssl.create_default_context(cafile=str(self._vcenter.ca_file))
        stub = SoapStubAdapter(host=host, port=int(port), sslContext=trust)
        manager = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent().sessionManager
        assert manager is not None  # a vCenter has one
        manager.Login(USER, PASSWORD, None)
        stub.DropConnections()
        return str(stub.cookie).partition(";")[0]


def _digest(source: Path, name: str) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False))
