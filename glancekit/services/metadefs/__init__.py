# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions: who may see and change them, their JSON form, and images held to them."""
