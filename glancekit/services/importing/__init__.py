# SPDX-License-Identifier: Apache-2.0
"""What a worker does for an import (flows/ports.py), each deed in a module of its own.

Each may be done again after a kill: what is about to be written is written down first. In which
order it all goes is said in ``flows``; what callers may ask of imports, in ``services/imports``.
"""
