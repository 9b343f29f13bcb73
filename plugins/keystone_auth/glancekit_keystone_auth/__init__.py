# SPDX-License-Identifier: Apache-2.0
"""Who is calling, by their Keystone token."""
