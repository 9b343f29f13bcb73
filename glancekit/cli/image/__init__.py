# SPDX-License-Identifier: Apache-2.0
"""``glancekit image``: images of any service that speaks the Images API v2, from a shell.

Endpoint (where), calls (what is asked), transfers (bytes), typed (arguments and options), commands
and sharing (what is typed). How the service does its work is none of this room's business.
"""
