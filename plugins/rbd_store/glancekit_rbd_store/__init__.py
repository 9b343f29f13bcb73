# SPDX-License-Identifier: Apache-2.0
"""Images as RBD images of a Ceph cluster. What an image is, and who may have it, is not its
business."""
