# SPDX-License-Identifier: Apache-2.0
"""A store whose SDK was not installed with it."""

import acme_sdk  # there is no such package

from glancekit.plugin import StoreDriver


class Store(StoreDriver):
    api_level = 1

    def __init__(self, options, *, name):
        self._connection = acme_sdk.connect(name)
