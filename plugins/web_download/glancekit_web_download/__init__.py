# SPDX-License-Identifier: Apache-2.0
"""Images from web servers and from other image services. Where they go is not its business."""
