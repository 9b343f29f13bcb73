# SPDX-License-Identifier: Apache-2.0
"""Taking over the records of an existing Glance, and giving them back. Bytes stay in place."""
