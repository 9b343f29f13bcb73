# SPDX-License-Identifier: Apache-2.0
"""What the image cache keeps and what goes first. Keeping it is not their business."""
