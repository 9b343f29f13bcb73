# SPDX-License-Identifier: Apache-2.0
"""What can be done to an image on its way in: unpacked, converted, verified, given properties."""
