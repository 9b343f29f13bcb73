# SPDX-License-Identifier: Apache-2.0
"""Every verb of the released clients about metadata definitions, against the running service.

The commands of one client run in one process of its environment, since starting it takes longer
than what it does.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

RUN_ALL = """
    import contextlib, io, json, sys

    def glance(arguments):
        from glanceclient.shell import OpenStackImagesShell
        OpenStackImagesShell().main(
            ["--os-auth-token", "none", "--os-image-url", url, *arguments]
        )

    def openstack(arguments):
        from openstackclient.shell import OpenStackShell
        code = OpenStackShell().run(
            ["--os-auth-type", "none", "--os-endpoint", url, *arguments]
        )
        if code:
            raise SystemExit(code)

    program, url = sys.argv[1:]
    answers = []
    for arguments in json.load(sys.stdin):
        out, err, ok = io.StringIO(), io.StringIO(), True
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                {"glance": glance, "openstack": openstack}[program](arguments)
            except (Exception, SystemExit) as error:
                ok = False
                err.write(str(error))
        answers.append([ok, out.getvalue(), err.getvalue()])
    print(json.dumps(answers))
"""

NAMESPACE = {
    "namespace": "Imported",
    "display_name": "I",
    "description": "d",
    "visibility": "public",
    "protected": False,
    "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
    "properties": {"cpu": {"title": "CPU", "type": "integer", "minimum": 1}},
    "objects": [
        {"name": "o", "description": "od", "properties": {"k": {"title": "K", "type": "string"}}}
    ],
    "tags": [{"name": "t"}],
}

OBJECT = '{"description": "x", "properties": {"a": {"title": "A", "type": "string"}}}'

Step = tuple[str, str | None]
"""What is typed, and a pattern of what it prints; None for an error.

Left out, because they end before a request is sent: ``md-tag-create-multiple --append`` and
``md-namespace-create --resource-type-associations`` of glanceclient 4.
"""

GLANCE: list[Step] = [
    (
        "md-namespace-create --display-name D --visibility public --protected False NS1",
        r"display_name *\| D ",
    ),
    ("md-namespace-import --file FILE", r"objects *\| \[\"o\"\]"),
    ("md-namespace-list", r"\| Imported +\|\n\| NS1 "),
    ("md-namespace-list --page-size 1", r"\| Imported +\|\n\| NS1 "),
    ("md-namespace-list --resource-types OS::Glance::Image", "Imported"),
    ("md-namespace-list --visibility private", r"\A(?!.*NS1)"),
    ("md-namespace-show Imported", r'properties *\| \["cpu"\]'),
    (
        "md-namespace-show Imported --resource-type OS::Glance::Image",
        r'properties *\| \["hw_cpu"\]',
    ),
    ("md-namespace-update --description new --namespace NS2 NS1", r"\| new "),
    ("md-namespace-show NS1", None),
    (
        "md-property-create --name p --title P --type integer --schema '{\"minimum\": 3}' NS2",
        r"minimum *\| 3 ",
    ),
    ("md-property-list NS2", r"\| p +\| P +\| integer "),
    ("md-property-show NS2 p", r"title *\| P "),
    (
        "md-property-update --name p2 --title P2 --schema '{\"maximum\": 9}' NS2 p",
        r"maximum *\| 9 ",
    ),
    ("md-object-create --name o --schema OBJECT NS2", r"description *\| x "),
    ("md-object-list NS2", r"\| o +\| x "),
    ("md-object-show NS2 o", r'properties *\| \["a"\]'),
    ("md-object-property-show NS2 o a", r"title *\| A "),
    ('md-object-update --name o2 --schema \'{"description": "y"}\' NS2 o', r"description *\| y "),
    ("md-tag-create --name t1 NS2", r"name *\| t1 "),
    ("md-tag-create-multiple --names a,b NS2", r"\| a .*\n\| b "),
    ("md-tag-list NS2", r"\A(?!.*t1)"),
    ("md-tag-show NS2 a", r"name *\| a "),
    ("md-tag-update --name z NS2 a", r"name *\| z "),
    ("md-tag-delete NS2 z", ""),
    (
        "md-resource-type-associate --name OS::X --prefix x_ --properties-target image NS2",
        r"prefix *\| x_ ",
    ),
    ("md-resource-type-list", r"OS::Glance::Image .*\n.* OS::X "),
    ("md-namespace-resource-type-list NS2", r"\| OS::X \| x_ +\| image "),
    ("md-resource-type-deassociate NS2 OS::X", ""),
    ("md-property-delete NS2 p2", ""),
    ("md-object-delete NS2 o2", ""),
    ("md-namespace-properties-delete Imported", ""),
    ("md-namespace-objects-delete Imported", ""),
    ("md-namespace-tags-delete Imported", ""),
    ("md-namespace-show Imported", r"\A(?!.*cpu)(?!.*objects)"),
    ("md-namespace-delete NS2", ""),
    ("md-namespace-list", r"\A(?!.*NS2)"),
]

OPENSTACK: list[Step] = [
    (
        "namespace create --display-name D --description x --public --unprotected ON",
        r"display_name *\| D ",
    ),
    ("namespace list", r"\| ON "),
    ("namespace show ON", r"visibility *\| public "),
    ("namespace set --display-name E --description y --private --protected ON", ""),
    ("namespace list --visibility private", r"\| ON "),
    ("namespace delete ON", None),
    ("namespace set --public --unprotected ON", ""),
    ("namespace set --tag t --tag u ON", ""),
    ("namespace show ON", r"tags *\| (t, u|u, t|\[.*t.*\])"),
    ("namespace unset --tag t ON", ""),
    ("namespace unset --all-tags ON", ""),
    (
        "property create --name p --title P --type integer --schema '{\"minimum\": 3}' ON",
        r"minimum *\| 3 ",
    ),
    ("property list ON", r"\| p +\| P +\| integer "),
    ("property show ON p", r"title *\| P "),
    ("property set --name p2 --title P2 --type integer --schema '{\"maximum\": 9}' ON p", ""),
    ("property show ON p2", r"maximum *\| 9 "),
    ("object create --namespace ON ob", r"name *\| ob "),
    ("object list ON", r"\| ob "),
    ("object show ON ob", r"name *\| ob "),
    ("object update --name ob2 ON ob", ""),
    ("object property show Imported o k", r"title *\| K "),
    ("resource type association create ON OS::Glance::Image", "OS::Glance"),
    ("resource type association list ON", "OS::Glance::Image"),
    ("namespace list --resource-types OS::Glance::Image", r"\| ON "),
    ("resource type list", "OS::Glance::Image"),
    ("resource type association delete ON OS::Glance::Image", ""),
    ("property delete ON p2", ""),
    ("object delete ON ob2", ""),
    ("property delete ON", ""),
    ("object delete ON", ""),
    ("namespace delete ON", ""),
    ("namespace show ON", None),
]

SDK = """
    import sys, openstack
    cloud = openstack.connect(auth_type="none", endpoint=sys.argv[1], image_api_version="2")
    image = cloud.image
    image.create_metadef_namespace(namespace="S", visibility="public")
    assert image.get_metadef_namespace("S").visibility == "public"
    assert [found.namespace for found in image.metadef_namespaces()] == ["S"]
    image.update_metadef_namespace("S", display_name="D", visibility="public")
    image.create_metadef_property("S", name="p", title="P", type="integer", minimum=1)
    assert image.get_metadef_property("p", "S").minimum == 1
    assert [found.name for found in image.metadef_properties("S")] == ["p"]
    image.update_metadef_property("p", "S", name="p", title="Q", type="integer")
    assert image.get_metadef_property("p", "S").title == "Q"
    image.create_metadef_object("S", name="o", properties={"a": {"title": "A", "type": "string"}})
    assert image.get_metadef_object("o", "S").properties["a"]["title"] == "A"
    assert [found.name for found in image.metadef_objects("S")] == ["o"]
    image.update_metadef_object("o", "S", name="o", description="d")
    image.create_metadef_resource_type_association("S", name="OS::Glance::Image")
    assert [found.name for found in image.metadef_resource_type_associations("S")] == [
        "OS::Glance::Image"
    ]
    assert [found.name for found in image.metadef_resource_types()] == ["OS::Glance::Image"]
    image.delete_metadef_resource_type_association("OS::Glance::Image", "S")
    assert "namespace" in str(image.get_metadef_namespace_schema().properties)
    image.delete_metadef_object("o", "S")
    image.delete_all_metadef_objects("S")
    image.delete_metadef_property("p", "S")
    image.delete_all_metadef_properties("S")
    image.delete_metadef_namespace("S")
    assert list(image.metadef_namespaces()) == []
    print("done")
"""

Python = Callable[..., str]


@pytest.fixture
def python(clients: Path) -> Python:
    """Run code in the clients' environment; what it prints is returned, an error fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}

    def run(code: str, *arguments: str, stdin: str = "") -> str:
        command = [str(clients / "python"), "-c", textwrap.dedent(code), *arguments]
        done = subprocess.run(
            command, env=environment, input=stdin, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def take(
    python: Python, program: str, url: str, steps: Sequence[Step], *, before: Sequence[str] = ()
) -> None:
    """Type one command after the other, and hold each against what it should print."""
    typed = [[*before, *shlex.split(command)] for command, _ in steps]
    answers = json.loads(python(RUN_ALL, program, url, stdin=json.dumps(typed)).splitlines()[-1])
    assert len(answers) == len(steps)
    for (command, pattern), (ok, out, err) in zip(steps, answers, strict=True):
        assert ok is (pattern is not None), f"{command}: {out}{err}"
        assert pattern is None or re.search(pattern, out, re.DOTALL), f"{command}: {out}{err}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "namespace.json"
    path.write_text(json.dumps(NAMESPACE))
    return path


def test_glanceclient(python: Python, service: Any, file: Path) -> None:
    steps = [
        (command.replace("FILE", str(file)).replace("OBJECT", shlex.quote(OBJECT)), pattern)
        for command, pattern in GLANCE
    ]
    take(python, "glance", service.url, steps)


def test_openstackclient(python: Python, service: Any, file: Path) -> None:
    take(python, "glance", service.url, [(f"md-namespace-import --file {file}", "")])
    take(python, "openstack", service.url, OPENSTACK, before=["image", "metadef"])


def test_openstacksdk(python: Python, service: Any) -> None:
    assert python(SDK, service.url).strip().endswith("done")


def test_a_service_that_runs_is_told_by_the_command_line(service: Any, file: Path) -> None:
    def metadefs(*arguments: str) -> str:
        command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(service.config)]
        environment = {**os.environ, "OS_DEFAULT__DATA_DIR": str(service.data_dir)}
        done = subprocess.run(
            [*command, "metadefs", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Imported added, 1 property" in metadefs("load", "--path", str(file))
    service.create(hw_cpu="many")
    metadefs("enforce", "Imported", "on")
    answer = requests.post(f"{service.url}/v2/images", json={"hw_cpu": "many"}, timeout=30)
    assert answer.status_code == 400
    assert "type in metadata definitions Imported" in answer.text
    service.create(hw_cpu="2")
