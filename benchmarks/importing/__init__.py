# SPDX-License-Identifier: Apache-2.0
"""What importing costs beside what a person would type."""
