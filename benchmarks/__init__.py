# SPDX-License-Identifier: Apache-2.0
"""Measurements, one command each; none of them is a test."""
