# SPDX-License-Identifier: Apache-2.0
"""How many changes of records fit into a second; ``python -m benchmarks.writing``."""
