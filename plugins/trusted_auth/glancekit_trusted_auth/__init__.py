# SPDX-License-Identifier: Apache-2.0
"""The auth driver ``trusted`` of glancekit: identity from the headers of a proxy in front."""
