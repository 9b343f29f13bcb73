# SPDX-License-Identifier: Apache-2.0
"""Which lists an image is in, and which lists answer a query."""

from __future__ import annotations

import itertools

from glancekit_sql_metadata.lists import Scope, labels_of, list_id, lists_with, plan, scopes_of

from glancekit.plugin import EVERYBODY, ImageQuery, Viewer, Visibility

SCOPE = Scope("owner", "me", "private", False)


def test_lists_of_different_words_have_different_names() -> None:
    words = ["", "a", "aa", "1:a", "tag", "\0", "ü", "\ud800", "é", "e\u0301"]
    labels = [("tag", word) for word in words]
    labels += [("property", *pair) for pair in itertools.product(words, words)]
    names = {list_id(SCOPE, label) for label in labels}
    assert len(names) == len(labels)
    scopes = [SCOPE, Scope("all", "", "private", False), Scope("owner", "me", "private", True)]
    assert len({list_id(scope) for scope in scopes}) == 3


def test_names_of_lists_never_change() -> None:
    # They are in databases: a change here needs a migration that fills image_lists anew.
    assert list_id(SCOPE, ("property", "os", "ü")).hex() == "e827e53a7c8f981b92f494cfdd15b40e"


def test_an_image_is_in_each_scope_with_each_label() -> None:
    scopes = list(scopes_of("me", "shared", False))
    labels = list(labels_of("queued", "name", {"k": "v", "l": "w"}, {"t"}))
    assert (len(scopes), len(labels)) == (2, 5)
    assert len(lists_with(scopes, labels)) == 2 * (1 + 5)
    assert list(labels_of("active", None, {}, set())) == []
    assert len(list(scopes_of(None, "public", False))) == 1


def test_a_project_s_view_is_five_lists() -> None:
    branches = plan(ImageQuery(viewer=Viewer(project_id="me"))).branches
    assert [branch.scope[:3] for branch in branches] == [
        ("all", "", "public"),
        ("owner", "me", "community"),
        ("owner", "me", "shared"),
        ("member", "me", "accepted"),
        ("owner", "me", "private"),
    ]


def test_the_service_sees_everything_but_communities() -> None:
    branches = plan(ImageQuery(viewer=EVERYBODY)).branches
    assert [branch.scope.of for branch in branches] == ["public", "shared", "private"]
    everything = plan(ImageQuery(viewer=EVERYBODY, all_visibilities=True)).branches
    assert [branch.scope.of for branch in everything] == [str(one) for one in Visibility]
