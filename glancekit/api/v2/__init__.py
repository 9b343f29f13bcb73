# SPDX-License-Identifier: Apache-2.0
"""The resources of the Images API v2, one module each; ``router`` puts them on their paths."""
