# SPDX-License-Identifier: Apache-2.0
"""Everything that the released clients can ask, asked of a service with its default configuration
and a real Keystone, in one table for each client.

What a client can ask is read from the client itself: a verb that is not in its table fails.
"""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("glancekit_keystone_auth", reason="glancekit-keystone-auth is not installed")

from glancekit_keystone_auth.testing import PASSWORD, RealKeystone

pytestmark = pytest.mark.timeout(400)  # each command is a process of its own

CONFIG = """
[DEFAULT]
image_cache_dir = {cache}
worker_self_reference_url = http://node1:9292
[auth]
driver = keystone
auth_url = {url}
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
"""

DATA = b"d" * 5000

NAMESPACE = {
    "namespace": "Imported",
    "visibility": "public",
    "objects": [{"name": "o", "properties": {"k": {"title": "K", "type": "string"}}}],
}


class Refused(str):
    """A pattern of what the client says when the service refuses."""


class Complaint(str):
    """A pattern of what the client complains of, though it ends as if all were well."""


NO_LOCATIONS = Refused("The administrator has disabled API access to image locations")

Row = tuple[str, str, str, str]
"""Who asks; the verb; what is typed after it; the outcome.

The outcome is a pattern of what is printed, or where it does not work `Refused` or `Complaint`.

``{queued_x}`` stands for an image without data, ``{active_x}`` for one with data (each name its
own), ``{place_x}`` for the URL of data that lies in the store, ``{task}`` for a task's id.
"""

Answer = tuple[str, str, str]
"""What a client prints, why it fails, and what it complains of."""

OPENSTACK: list[Row] = [
    ("member", "image create", "--disk-format raw --container-format bare --file {file} os",
     r"name +\| os "),
    ("reader", "image create", "--file {file} no", Refused("403")),
    ("reader", "image list", "", r"\| os +\| active "),
    ("reader", "image show", "os", r"size +\| 5000 "),
    ("member", "image save", "--file {back} os", ""),
    ("member", "image set", "--property colour=blue --tag t --name os2 os", ""),
    ("member", "image unset", "--property colour --tag t os2", ""),
    ("member", "image delete", "os2", ""),
    ("reader", "image delete", "{active_o}", Refused("403")),
    ("member", "image add project", "{active_o} {elsewhere}", r"status +\| pending "),
    ("stranger", "image set", "--accept {active_o}", ""),
    ("stranger", "image member get", "{active_o} {elsewhere}", r"status +\| accepted "),
    ("member", "image member list", "{active_o}", r"\| accepted "),
    ("member", "image remove project", "{active_o} {elsewhere}", ""),
    ("member", "image import info", "", "import-methods"),
    ("member", "image import", "--method web-download --uri http://127.0.0.1/ {queued_o}",
     r"status +\| queued "),  # a 400, of which it says nothing
    ("member", "image stage", "--file {file} {queued_o}", ""),
    ("member", "image import", "{queued_o} --store local", r"status +\| uploading "),  # before
    ("admin", "image import", "--method copy-image --all-stores {active_o}", ""),
    ("member", "image stores list", "", r"\| local "),
    ("admin", "image task list", "", "location_import"),
    ("admin", "image task show", "{task}", r"status +\| success "),
    ("member", "image task list", "", Refused("403")),
    ("admin", "cached image queue", "{active_o}", ""),
    ("admin", "cached image list", "", r"\| (cached|queued) "),
    ("member", "cached image list", "", Refused("403")),
    ("admin", "cached image delete", "{active_o}", ""),
    ("admin", "cached image clear", "", ""),
    ("admin", "image metadef namespace create", "--public ON", r"namespace +\| ON "),
    ("member", "image metadef namespace create", "no", Refused("403")),
    ("reader", "image metadef namespace list", "", r"\| ON "),
    ("admin", "image metadef namespace set", "--public --display-name D --tag t ON", ""),
    ("reader", "image metadef namespace show", "ON", r"display_name +\| D "),
    ("admin", "image metadef namespace unset", "--tag t ON", ""),
    ("admin", "image metadef object create", "--namespace ON o", r"name +\| o "),
    ("reader", "image metadef object list", "ON", r"\| o "),
    ("reader", "image metadef object show", "ON o", r"name +\| o "),
    ("admin", "image metadef object update", "--name o2 ON o", ""),
    ("reader", "image metadef object property show", "Given o k", r"title +\| K "),
    ("admin", "image metadef object delete", "ON o2", ""),
    ("admin", "image metadef property create",
     "--name p --title P --type integer --schema '{{\"minimum\": 3}}' ON", r"minimum +\| 3 "),
    ("reader", "image metadef property list", "ON", r"\| p +\| P +\| integer "),
    ("admin", "image metadef property set",
     "--name p2 --title P2 --type integer --schema '{{\"maximum\": 9}}' ON p", ""),
    ("reader", "image metadef property show", "ON p2", r"maximum +\| 9 "),
    ("admin", "image metadef property delete", "ON p2", ""),
    ("admin", "image metadef resource type association create", "ON OS::X", "OS::X"),
    ("reader", "image metadef resource type association list", "ON", "OS::X"),
    ("reader", "image metadef resource type list", "", "OS::X"),
    ("admin", "image metadef resource type association delete", "ON OS::X", ""),
    ("admin", "image metadef namespace delete", "ON", ""),
]  # fmt: skip

GLANCE: list[Row] = [
    ("member", "image-create", "--name g --disk-format raw --container-format bare --file {file}",
     r"\| status +\| active "),
    ("reader", "image-create",
     "--name no --disk-format raw --container-format bare --file {file}", Refused("403")),
    ("member", "image-list", "", r"\| g +\|"),
    ("reader", "image-show", "{active_g}", r"\| size +\| 5000 "),
    ("reader", "image-download", "--file {back} {active_g}", Refused("403")),
    ("member", "image-download", "--file {back} {active_g}", ""),
    ("member", "image-update", "--property colour=red {active_g}", r"\| colour +\| red "),
    ("member", "image-upload", "--file {file} {queued_g}", ""),
    ("member", "image-tag-update", "{active_g} t", ""),
    ("member", "image-tag-delete", "{active_g} t", ""),
    ("member", "image-deactivate", "{active_g}", ""),
    ("member", "image-reactivate", "{active_g}", ""),
    ("member", "image-delete", "{active_gone}", ""),
    ("member", "member-create", "{active_g} {elsewhere}", "pending"),
    ("stranger", "member-update", "{active_g} {elsewhere} accepted", "accepted"),
    ("member", "member-list", "--image-id {active_g}", "accepted"),
    ("stranger", "member-get", "{active_g} {elsewhere}", "accepted"),
    ("member", "member-delete", "{active_g} {elsewhere}", ""),
    ("nova", "add-location", "--url {place_g} {queued_nova}", ""),
    ("member", "image-tasks", "{active_g}", ""),
    # With show_multiple_locations on, update and delete work: see test_clients_sharing.py.
    ("member", "location-add", "--url {place_h} {queued_h}",
     Refused("403.*show_multiple_locations is off")),
    ("member", "location-update", "--url {place_h} --metadata '{{}}' {active_g}", NO_LOCATIONS),
    ("member", "location-delete", "--url {place_h} {active_g}", NO_LOCATIONS),
    ("member", "import-info", "", "import-methods"),
    ("member", "image-import", "--import-method web-download --uri http://127.0.0.1/ {queued_s}",
     Refused("does not pass filtering")),
    ("member", "image-stage", "--file {file} {queued_s}", ""),
    ("member", "image-import", "--stores local {queued_s}", r"\| status +\| importing "),
    ("member", "image-create-via-import",
     "--name via --disk-format raw --container-format bare", r"\| importing "),  # of its stdin
    ("member", "stores-info", "", "local"),
    ("admin", "stores-delete", "--store local {active_g}", Refused("403")),
    ("member", "usage", "", "Quota"),
    ("member", "explain", "image", "container_format"),
    ("admin", "cache-queue", "{active_g}", ""),
    ("admin", "cache-list", "", r"\| (cached|queued) "),
    ("member", "cache-list", "", Refused("403")),
    ("admin", "cache-nodes-list", "{active_g}", "Node Reference URL"),
    ("admin", "cache-clean", "", ""),
    ("admin", "cache-prune", "", r"Pruned 0 file\(s\), 0 byte\(s\)"),
    ("admin", "cache-delete", "{active_g}", ""),
    ("admin", "cache-delete", "1", Complaint("Unable to delete")),
    ("admin", "cache-clear", "", ""),
    ("admin", "task-list", "", "location_import"),
    ("admin", "task-show", "{task}", "success"),
    ("admin", "task-create", "--type import --input '{{}}'", Refused("needs 'import_from'")),
    ("admin", "md-namespace-create", "--visibility public GN", r"\| namespace +\| GN "),
    ("admin", "md-namespace-import", "--file {namespace}", r"objects +\| \[\"o\"\]"),
    ("reader", "md-namespace-list", "", r"\| GN "),
    ("admin", "md-namespace-update", "--description new GN", r"\| new "),
    ("reader", "md-namespace-show", "GN", r"\| new "),
    ("admin", "md-property-create",
     "--name p --title P --type string --schema '{{}}' GN", r"\| title +\| P "),
    ("reader", "md-property-list", "GN", r"\| p +\| P "),
    ("admin", "md-property-update",
     "--name p2 --title P2 --schema '{{\"type\": \"string\"}}' GN p", r"\| P2 "),
    ("reader", "md-property-show", "GN p2", r"\| P2 "),
    ("admin", "md-property-delete", "GN p2", ""),
    ("admin", "md-namespace-properties-delete", "GN", ""),
    ("admin", "md-object-create", "--name o --schema '{{\"description\": \"x\"}}' GN", r"\| x "),
    ("reader", "md-object-list", "GN", r"\| o +\| x "),
    ("admin", "md-object-update", "--schema '{{\"description\": \"y\"}}' GN o", r"\| y "),
    ("reader", "md-object-show", "GN o", r"\| y "),
    ("reader", "md-object-property-show", "Given o k", r"\| K "),
    ("admin", "md-object-delete", "GN o", ""),
    ("admin", "md-namespace-objects-delete", "GN", ""),
    ("admin", "md-tag-create", "--name t GN", r"\| t "),
    ("admin", "md-tag-create-multiple", "--names a,b GN", r"\| a "),
    ("reader", "md-tag-list", "GN", r"\| b "),
    ("admin", "md-tag-update", "--name z GN a", r"\| z "),
    ("reader", "md-tag-show", "GN z", r"\| z "),
    ("admin", "md-tag-delete", "GN z", ""),
    ("admin", "md-namespace-tags-delete", "GN", ""),
    ("admin", "md-resource-type-associate", "--name OS::G --prefix x_ GN", r"\| x_ "),
    ("reader", "md-resource-type-list", "", "OS::G"),
    ("reader", "md-namespace-resource-type-list", "GN", "OS::G"),
    ("admin", "md-resource-type-deassociate", "GN OS::G", ""),
    ("admin", "md-namespace-delete", "GN", ""),
    ("member", "bash-completion", "", "image-create"),
    ("member", "help", "image-list", "usage: glance image-list"),
]  # fmt: skip

SDK: list[Row] = [
    ("member", "create_image", "'sdk', filename={file!r}, disk_format='raw', wait=True",
     "name=sdk"),
    ("member", "create_image", "'imported', filename={file!r}, use_import=True, wait=True, "
     "disk_format='raw', container_format='bare'", "name=imported"),
    ("member", "wait_for_status", "image.find_image('imported'), 'active', wait=60", "active"),
    ("reader", "find_image", "'sdk'", "name=sdk"),
    ("reader", "images", "", "name=sdk"),
    ("reader", "get_image", "{active_s!r}", "status=active"),
    ("member", "download_image", "{active_s!r}", r"Response \[200\]"),
    ("member", "upload_image", "'bare', 'raw', data=b'd', name='up'", ""),
    ("member", "update_image", "{active_s!r}, colour='blue'", "blue"),
    ("member", "update_image_properties", "image.get_image({active_s!r}), rack='7'", "True"),
    ("member", "wait_for_status", "image.get_image({active_s!r}), 'active', wait=5", "active"),
    ("member", "add_tag", "{active_s!r}, 't'", ""),
    ("member", "remove_tag", "{active_s!r}, 't'", ""),
    ("member", "deactivate_image", "{active_s!r}", ""),
    ("member", "reactivate_image", "{active_s!r}", ""),
    ("member", "import_image", "image.get_image({queued_i!r}), 'web-download', uri='http://127.0.0.1/'",
     r"Response \[400\]"),  # it leaves the answer to its caller
    ("member", "stage_image", "image.get_image({queued_i!r}), data=b'd'", "status=uploading"),
    ("member", "import_image", "image.get_image({queued_i!r}), 'glance-direct'", r"\[202\]"),
    ("member", "wait_for_status", "image.get_image({queued_i!r}), 'active', wait=60", "active"),
    ("member", "get_import_info", "", "import-methods"),
    ("member", "stores", "", "id=local"),
    ("nova", "add_image_location", "{queued_l!r}, {place_l!r}", ""),
    ("nova", "image_locations", "{active_s!r}", "file://"),
    ("member", "image_tasks", "{active_s!r}", r"\[\]"),
    ("member", "add_member", "{active_s!r}, member_id={elsewhere!r}", "pending"),
    ("stranger", "update_member", "{elsewhere!r}, {active_s!r}, status='accepted'", "accepted"),
    ("stranger", "get_member", "{elsewhere!r}, {active_s!r}", "accepted"),
    ("member", "find_member", "{elsewhere!r}, {active_s!r}", "accepted"),
    ("member", "members", "{active_s!r}", "accepted"),
    ("member", "remove_member", "{elsewhere!r}, {active_s!r}", ""),
    ("member", "delete_image", "{active_d!r}", ""),
    ("member", "wait_for_delete", "Image.existing(id={active_d!r}), wait=5", ""),
    ("admin", "tasks", "", "location_import"),
    ("admin", "get_task", "{task!r}", "success"),
    ("admin", "wait_for_task", "image.get_task({task!r}), wait=5", "success"),
    ("admin", "create_task", "type='import', input={{}}", Refused("needs 'import_from'")),
    ("admin", "queue_image", "{active_s!r}", ""),
    ("admin", "get_image_cache", "", "cached_images"),
    ("admin", "cached_image_nodes", "{active_s!r}", r"\["),
    ("admin", "cache_delete_image", "{active_s!r}, ignore_missing=False", ""),
    ("admin", "cache_delete_image", "'1', ignore_missing=False", Refused("404")),
    ("admin", "clear_cache", "", ""),
    ("admin", "clean_cache", "", ""),
    ("admin", "prune_cache", "", "total_files_pruned"),
    ("admin", "create_metadef_namespace", "namespace='S', visibility='public'", "S"),
    ("reader", "metadef_namespaces", "", "namespace=S"),
    ("admin", "update_metadef_namespace", "'S', display_name='D', visibility='public'", "D"),
    ("reader", "get_metadef_namespace", "'S'", "display_name=D"),
    ("admin", "add_tag_to_metadef_namespace", "'S', 't'", ""),
    ("admin", "remove_tag_from_metadef_namespace", "'S', 't'", ""),
    ("admin", "remove_tags_from_metadef_namespace", "'S'", ""),
    ("admin", "create_metadef_object", "'S', name='o'", "name=o"),
    ("reader", "metadef_objects", "'S'", "name=o"),
    ("admin", "update_metadef_object", "'o', 'S', name='o', description='d'", "description=d"),
    ("reader", "get_metadef_object", "'o', 'S'", "description=d"),
    ("admin", "delete_metadef_object", "'o', 'S'", ""),
    ("admin", "delete_all_metadef_objects", "'S'", ""),
    ("admin", "create_metadef_property", "'S', name='p', title='P', type='integer'", "title=P"),
    ("reader", "metadef_properties", "'S'", "title=P"),
    ("admin", "update_metadef_property", "'p', 'S', name='p', title='Q', type='integer'", "Q"),
    ("reader", "get_metadef_property", "'p', 'S'", "title=Q"),
    ("admin", "delete_metadef_property", "'p', 'S'", ""),
    ("admin", "delete_all_metadef_properties", "'S'", ""),
    ("admin", "create_metadef_resource_type_association", "'S', name='OS::S'", "OS::S"),
    ("reader", "metadef_resource_type_associations", "'S'", "OS::S"),
    ("reader", "metadef_resource_types", "", "OS::S"),
    ("admin", "delete_metadef_resource_type_association", "'OS::S', 'S'", ""),
    ("admin", "delete_metadef_namespace", "'S'", ""),
    ("reader", "get_image_schema", "", "container_format"),
    ("reader", "get_images_schema", "", "name=images"),
    ("reader", "get_member_schema", "", "member_id"),
    ("reader", "get_members_schema", "", "name=members"),
    ("reader", "get_task_schema", "", "name=task"),
    ("reader", "get_tasks_schema", "", "name=tasks"),
    ("reader", "get_metadef_namespace_schema", "", "display_name"),
    ("reader", "get_metadef_namespaces_schema", "", "namespaces"),
    ("reader", "get_metadef_object_schema", "", "name=object"),
    ("reader", "get_metadef_objects_schema", "", "name=objects"),
    ("reader", "get_metadef_property_schema", "", "name=property"),
    ("reader", "get_metadef_properties_schema", "", "name=properties"),
    ("reader", "get_metadef_resource_type_schema", "", "name=resource_type"),
    ("reader", "get_metadef_resource_types_schema", "", "name=resource_type"),
    ("reader", "get_metadef_tag_schema", "", "name=tag"),
    ("reader", "get_metadef_tags_schema", "", "name=tags"),
]  # fmt: skip

SDK_CODE = """
    import json, warnings
    import openstack
    from openstack.image.v2.image import Image
    warnings.simplefilter("ignore")  # upload_image is deprecated, and is asked all the same

    def ask(cloud, verb, arguments):
        image = cloud.image
        answer = eval(f"image.{verb}({arguments})", {"image": image, "Image": Image})
        return str(list(answer) if hasattr(answer, "__next__") else answer)

    clouds = {}
    answers = []
    for user, project, verb, arguments in json.loads(words[0]):
        if user not in clouds:
            clouds[user] = openstack.connect(
                load_yaml_config=False, username=user, project_name=project
            )
        try:
            answers.append((ask(clouds[user], verb, arguments), "", ""))
        except Exception as error:
            answers.append(("", f"{type(error).__name__}: {error}", ""))
    print(json.dumps(answers))
"""

SDK_VERBS = """
    import json
    from openstack.image.v2._proxy import Proxy
    print(json.dumps([name for name, one in vars(Proxy).items()
                      if callable(one) and not name.startswith("_")]))
"""


class Cloud(dict[str, str]):
    """The service, its Keystone and its users; as a dictionary, what the tables name."""

    def __init__(self, keystone: RealKeystone, service: Any, programs: Any, folder: Path) -> None:
        super().__init__(file=str(folder / "data"), back=str(folder / "back"))
        self["namespace"] = str(folder / "namespace.json")
        self["elsewhere"] = keystone.id_of("project", "elsewhere")
        Path(self["file"]).write_bytes(DATA)
        Path(self["namespace"]).write_text(json.dumps(NAMESPACE))
        self._keystone, self._service, self._programs = keystone, service, programs
        self._folder = folder
        self._call("POST", "/metadefs/namespaces", json={**NAMESPACE, "namespace": "Given"})

    def run(self, user: str, *command: str) -> Answer:
        """Return what a client prints, why it fails, and what it complains of."""
        name, project = self.who(user)
        environment = {
            "HOME": str(self._folder),  # glanceclient keeps the schemas there
            "OS_AUTH_URL": self._keystone.url,
            "OS_USERNAME": name,
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_REGION_NAME": "RegionOne",
            "OS_IDENTITY_API_VERSION": "3",
        }
        printed, failed, complaint = self._programs.run(*command, environment=environment)
        return printed, failed, complaint

    def __missing__(self, key: str) -> str:
        """Make what a table names when it is named first."""
        kind, _, name = key.partition("_")
        makers: dict[str, Callable[[str], str]] = {
            "queued": self._queued,
            "active": self._active,
            "place": self._place,
            "task": self._task,
        }
        self[key] = makers[kind](name)
        return self[key]

    def _queued(self, name: str, user: str = "member") -> str:
        body = {"name": name, "disk_format": "raw", "container_format": "bare"}
        return str(self._call("POST", "/images", user, json=body)["id"])

    def _active(self, name: str) -> str:
        image_id = self._queued(name)
        octets = {"Content-Type": "application/octet-stream"}
        self._call("PUT", f"/images/{image_id}/file", "member", data=DATA, headers=octets)
        return image_id

    def _place(self, name: str) -> str:
        place = self._service.data_dir / "stores" / "local" / f"left-{name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(DATA)
        return f"file://{place}"

    def _task(self, _name: str) -> str:
        image_id = self._queued("task", "nova")
        place = {"url": self._place("task")}
        self._call("POST", f"/images/{image_id}/locations", "nova", json=place)

        def tasks() -> list[dict[str, Any]]:
            return list(self._call("GET", f"/images/{image_id}/tasks")["tasks"])

        self._service.wait_for(lambda: [one["status"] for one in tasks()] == ["success"])
        return str(tasks()[0]["task_id"] if "task_id" in tasks()[0] else tasks()[0]["id"])

    def who(self, user: str) -> tuple[str, str]:
        """Return a user's name and project."""
        return {"stranger": ("stranger", "elsewhere"), "nova": ("nova", "demo")}.get(
            user, (f"demo-{user}", "demo")
        )

    def _call(self, method: str, path: str, user: str = "admin", **request: Any) -> Any:
        headers = {"X-Auth-Token": self._keystone.token(*self.who(user))}
        headers |= request.pop("headers", {})
        answer = requests.request(
            method, f"{self._service.url}/v2{path}", headers=headers, timeout=30, **request
        )
        assert answer.ok, answer.text
        return answer.json() if answer.content else None


@pytest.fixture(scope="module")
def cloud(
    make_lasting_service: Callable[..., Any],
    keystone: RealKeystone,
    programs: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Cloud:
    """A service with a Keystone that has users of two projects."""
    folder = tmp_path_factory.mktemp("cloud")
    keystone.make_user("stranger", "elsewhere", "member")
    keystone.make_user("nova", "demo", "member", "service")
    service = make_lasting_service(
        CONFIG.format(url=keystone.url, password=PASSWORD, cache=folder / "cache")
    )
    service.start()
    keystone.make_endpoint("image", service.url)
    return Cloud(keystone, service, programs, folder)


def hold(rows: Sequence[Row], answers: Sequence[Answer]) -> None:
    """Compare what was said with the table; everything that differs is named at once."""
    differ = []
    for (user, verb, typed, outcome), answer in zip(rows, answers, strict=True):
        printed, failed, complaint = answer
        heard = printed
        if isinstance(outcome, Refused | Complaint):
            heard = failed if isinstance(outcome, Refused) else complaint
        right = bool(failed) is isinstance(outcome, Refused)
        if not right or not re.search(outcome, heard):
            differ.append(f"{user}: {verb} {typed}\n  {printed}{failed or complaint}")
    assert not differ, "\n".join(differ)


def type_all(cloud: Cloud, program: str, rows: Sequence[Row]) -> None:
    """Type one command after the other and compare."""
    answers = [
        cloud.run(user, program, *shlex.split(verb), *shlex.split(typed.format_map(cloud)))
        for user, verb, typed, _outcome in rows
    ]
    hold(rows, answers)


def verbs(rows: Sequence[Row]) -> set[str]:
    """Return the verbs of a table."""
    return {verb for _user, verb, _typed, _outcome in rows}


def test_every_verb_of_openstackclient(cloud: Cloud) -> None:
    printed, failed, _ = cloud.run(
        "member", "openstack", "command", "list", "--group", "openstack.image", "-f", "json"
    )
    assert not failed, failed
    assert {verb for group in json.loads(printed) for verb in group["Commands"]} == verbs(
        OPENSTACK
    )
    assert cloud["task"]  # so that there is one to list
    type_all(cloud, "openstack", OPENSTACK)


def test_every_verb_of_glanceclient(cloud: Cloud) -> None:
    printed, failed, _ = cloud.run("member", "glance", "help")
    assert not failed, failed
    listed = printed.partition("<subcommand>\n")[2].partition("Options:")[0]
    assert set(re.findall(r"^    ([a-z][a-z-]+)", listed, re.MULTILINE)) == verbs(GLANCE)
    type_all(cloud, "glance", GLANCE)


def test_every_method_of_openstacksdk(cloud: Cloud) -> None:
    printed, failed, _ = cloud.run("member", "python", textwrap.dedent(SDK_VERBS))
    assert not failed, failed
    assert set(json.loads(printed)) == verbs(SDK)
    typed = [
        (*cloud.who(user), verb, typed.format_map(cloud)) for user, verb, typed, _outcome in SDK
    ]
    printed, failed, _ = cloud.run(
        "member", "python", textwrap.dedent(SDK_CODE), json.dumps(typed)
    )
    assert not failed, failed
    hold(SDK, json.loads(printed))
