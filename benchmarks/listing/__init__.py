# SPDX-License-Identifier: Apache-2.0
"""What a page of images costs in small and large databases; ``python -m benchmarks.listing``."""
