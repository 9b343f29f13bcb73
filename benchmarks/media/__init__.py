# SPDX-License-Identifier: Apache-2.0
"""Each medium of a store, through the service and by the medium's own tool in the same run."""
