# SPDX-License-Identifier: Apache-2.0
"""Detached signatures of imported images. Whose keys count is the operator's business."""
