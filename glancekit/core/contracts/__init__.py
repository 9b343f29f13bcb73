# SPDX-License-Identifier: Apache-2.0
"""What plugins promise and may rely on, as Protocols. No implementation lives here."""
