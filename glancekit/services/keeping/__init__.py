# SPDX-License-Identifier: Apache-2.0
"""Keeping images' copies whole, and where they should be: audits, repairs, placement."""
