# SPDX-License-Identifier: Apache-2.0
"""What upstream's store library has put into a datastore is ours, and the other way round."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest
from glancekit_vmware_store.driver import VmwareStore
from glancekit_vmware_store.testing import Simulator, missing

from glancekit.testing import upstream_store


@pytest.fixture(scope="session")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One at the only port that upstream's library goes to."""
    wanted = missing() or upstream_store.missing("vmware")
    if wanted is not None:
        pytest.skip(wanted)
    if os.geteuid() != 0:
        pytest.skip("port 443, the only one that upstream's library goes to, is root's")
    some = random.SystemRandom()
    host = f"127.{some.randrange(1, 255)}.{some.randrange(1, 255)}.{some.randrange(1, 255)}"
    folder = tmp_path_factory.mktemp("vcenter")
    # Upstream's library leaves it to the server to make the folder.
    with Simulator(folder, listen=f"{host}:443", options="-make-folders") as simulator:
        yield simulator


class TestUpstreamsVmwareStore(upstream_store.UpstreamConformance):
    @pytest.fixture
    def driver(self, build: Callable[..., VmwareStore], vcenter: Simulator) -> VmwareStore:
        return build(vmware_server_host=host_of(vcenter))

    @pytest.fixture
    def upstream(
        self, vcenter: Simulator, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[upstream_store.UpstreamStore]:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)  # they would come before vmware_ca_file
        options = vcenter.settings() | {"vmware_server_host": host_of(vcenter)}
        options |= {"vmware_datastores": options["vmware_datastores"][0]}
        options |= {"vmware_task_poll_interval": "1"}
        with upstream_store.UpstreamStore("vmware", options) as store:
            yield store


def host_of(vcenter: Simulator) -> str:
    return vcenter.address.removesuffix(":443")
