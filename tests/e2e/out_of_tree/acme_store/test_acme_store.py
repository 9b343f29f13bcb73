# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest
from acme_store import AcmeStore

from glancekit.plugin import SupportsDelete, SupportsWrite
from glancekit.testing import StoreConformance


class TestAcmeStore(StoreConformance):
    capabilities = frozenset({SupportsWrite, SupportsDelete})

    @pytest.fixture
    def driver(self, tmp_path):
        return AcmeStore(SimpleNamespace(acme_shelf=str(tmp_path)), name="acme")
