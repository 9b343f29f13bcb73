# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugin new``: a package to begin with, whose tests pass at once. What plugins there
are, and how they are, is the business of ``glancekit plugins``."""
