# SPDX-License-Identifier: Apache-2.0
"""Images that web servers have. Which URLs may be asked is the core's filter's business."""
