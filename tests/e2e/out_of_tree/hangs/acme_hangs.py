# SPDX-License-Identifier: Apache-2.0
"""A store that connects when it is built, to a server that never answers."""

import threading

from glancekit.plugin import StoreDriver


class Store(StoreDriver):
    api_level = 1

    def __init__(self, options, *, name):
        threading.Event().wait()

    def open(self, location):
        raise NotImplementedError

    def size(self, location):
        return None

    def close(self):
        pass
