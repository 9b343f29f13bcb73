# SPDX-License-Identifier: Apache-2.0
"""The API describing itself: an OpenAPI document made of the routes and schemas that serve.

It describes; what is true is decided where requests are answered, and tests compare the two.
"""
