# SPDX-License-Identifier: Apache-2.0
"""Images of one site at another: compared, copied, kept the same, dumped and loaded."""
