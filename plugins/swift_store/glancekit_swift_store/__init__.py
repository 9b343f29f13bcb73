# SPDX-License-Identifier: Apache-2.0
"""Images as objects of an OpenStack Swift. What an image is, and who may have it, is not its
business."""
