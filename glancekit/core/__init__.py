# SPDX-License-Identifier: Apache-2.0
"""The core: the model, the contracts, errors, drivers, hooks and the one byte loop.

Knows nothing of HTTP, SQL, TaskFlow or any vendor.
"""
