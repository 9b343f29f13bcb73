# SPDX-License-Identifier: Apache-2.0
"""Who is calling, by a token that an operator made for them with ``glancekit token``."""
