# SPDX-License-Identifier: Apache-2.0
"""Our own plugins: found through the same entry points as everybody's, never called directly."""
