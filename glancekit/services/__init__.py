# SPDX-License-Identifier: Apache-2.0
"""The use cases: one function for each thing that a caller can ask. Knows neither HTTP nor SQL."""
