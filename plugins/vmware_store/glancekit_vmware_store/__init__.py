# SPDX-License-Identifier: Apache-2.0
"""Images as files of vSphere datastores. What an image is, and who may have it, is not its
business."""
