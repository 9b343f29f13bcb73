# SPDX-License-Identifier: Apache-2.0
"""Plugins of every kind, as they were written for API level 1. They are not to be changed."""
