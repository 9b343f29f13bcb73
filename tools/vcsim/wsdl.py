# SPDX-License-Identifier: Apache-2.0
"""Describe the calls of a vCenter that stores make, as WSDL, from what pyVmomi knows of them.

A vCenter publishes such a description and the simulator does not; oslo.vmware, which upstream's
store library uses, reads it before its first call. Usage: python wsdl.py FILE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pyVmomi import VmomiSupport, vmodl

CALLS = (
    "RetrieveServiceContent",
    "Login",
    "Logout",
    "SessionIsActive",
    "FindByInventoryPath",
    "RetrievePropertiesEx",
    "ContinueRetrievePropertiesEx",
    "CancelRetrievePropertiesEx",
    "MakeDirectory",
    "DeleteDatastoreFile_Task",
    "MoveDatastoreFile_Task",
)

VALUES = (
    # What comes only as the value of a property or as a fault, so that no call mentions it.
    "UserSession",
    "DatastoreSummary",
    "TaskInfo",
    "TaskReasonUser",
    "TraversalSpec",
    "InvalidLogin",
    "NoPermission",
    "NotAuthenticated",
    "ManagedObjectNotFound",
    "InvalidArgument",
    "InvalidProperty",
    "InvalidDatastore",
    "InvalidDatastorePath",
    "FileNotFound",
    "FileAlreadyExists",
    "CannotDeleteFile",
    "RuntimeFault",
)

_SPACE = "urn:vim25"

_BY_HAND = {
    "ManagedObjectReference": '<simpleContent><extension base="xsd:string">'
    '<attribute name="type" type="xsd:string"/></extension></simpleContent>',
    "ArrayOfManagedObjectReference": '<sequence><element name="ManagedObjectReference" '
    'type="vim:ManagedObjectReference" minOccurs="0" maxOccurs="unbounded"/></sequence>',
    "LocalizedMethodFault": '<sequence><element name="fault" type="vim:MethodFault"/>'
    '<element name="localizedMessage" type="xsd:string" minOccurs="0"/></sequence>',
}
"""What pyVmomi has objects of its own for."""


class Types:
    """The types that were asked for, and all that these are made of."""

    def __init__(self) -> None:
        self.written = {name: _complex(name, body) for name, body in _BY_HAND.items()}

    def reference(self, kind: Any) -> str:
        """Return the name by which a type is referred to, having it written."""
        if issubclass(kind, VmomiSupport.ManagedObject):
            return "vim:ManagedObjectReference"
        if kind is object:
            return "xsd:anyType"
        if kind in (type, VmomiSupport.ManagedMethod, VmomiSupport.PropertyPath):
            return "xsd:string"
        space, name = VmomiSupport.GetQualifiedWsdlName(kind)
        if space == VmomiSupport.XMLNS_XSD:
            return f"xsd:{name}"
        self.add(kind)
        return "vim:LocalizedMethodFault" if kind is vmodl.MethodFault else f"vim:{name}"

    def element(self, name: str, kind: Any, flags: int) -> str:
        """Return the element of a name, optional or repeated as the flags say."""
        times = ' minOccurs="0"' if flags & VmomiSupport.F_OPTIONAL else ""
        if issubclass(kind, VmomiSupport.Array):
            times, kind = ' minOccurs="0" maxOccurs="unbounded"', kind.Item
        return f'<element name="{name}" type="{self.reference(kind)}"{times}/>'

    def add(self, kind: Any) -> None:
        """Write a type, unless it is written."""
        is_array = issubclass(kind, VmomiSupport.Array)
        item = VmomiSupport.GetWsdlName(kind.Item) if is_array else ""
        name = f"ArrayOf{item}" if is_array else VmomiSupport.GetWsdlName(kind)
        if name in self.written:
            return
        self.written[name] = ""  # it may be a part of itself
        if is_array:
            body = f"<sequence>{self.element(item, kind, 0)}</sequence>"
        elif issubclass(kind, str):
            self.written[name] = _choice(name, kind.values)
            return
        else:
            body = self._extended(kind)
        self.written[name] = _complex(name, body)

    def _extended(self, kind: Any) -> str:
        """Return a type's own fields, and whose others it has."""
        own = "".join(
            self.element(field.name, field.type, field.flags)
            for field in kind._GetPropertyList(False)
            if not (kind is vmodl.MethodFault and field.name == "msg")
        )
        body = f"<sequence>{own}</sequence>"
        parent = kind.__bases__[0]
        if not issubclass(parent, VmomiSupport.DataObject | vmodl.MethodFault):
            return body
        self.add(parent)
        base = VmomiSupport.GetWsdlName(parent)
        return f'<complexContent><extension base="vim:{base}">{body}</extension></complexContent>'


def _complex(name: str, body: str) -> str:
    return f'<complexType name="{name}">{body}</complexType>'


def _choice(name: str, values: list[str]) -> str:
    listed = "".join(f'<enumeration value="{escape(value)}"/>' for value in values)
    restricted = f'<restriction base="xsd:string">{listed}</restriction>'
    return f'<simpleType name="{name}">{restricted}</simpleType>'


def _call(types: Types, name: str) -> tuple[str, str, str, str]:
    """Return a call's elements, messages, operation and binding."""
    info = VmomiSupport.GetWsdlMethod(_SPACE, name).info
    asked = '<element name="_this" type="vim:ManagedObjectReference"/>' + "".join(
        types.element(given.name, given.type, given.flags) for given in info.params
    )
    has_answer = info.result not in (None, type(None))
    answered = types.element("returnval", info.result, info.resultFlags) if has_answer else ""
    parts = ((name, asked), (f"{name}Response", answered))
    elements = "".join(
        f'<element name="{part}"><complexType><sequence>{body}</sequence></complexType></element>'
        for part, body in parts
    )
    messages = "".join(
        f'<message name="{part}Message"><part name="parameters" element="vim:{part}"/></message>'
        for part, _ in parts
    )
    operation = (
        f'<operation name="{name}"><input message="vim:{name}Message"/>'
        f'<output message="vim:{name}ResponseMessage"/></operation>'
    )
    binding = (
        f'<operation name="{name}"><soap:operation soapAction="urn:vim25/6.5" style="document"/>'
        '<input><soap:body use="literal"/></input><output><soap:body use="literal"/></output>'
        "</operation>"
    )
    return elements, messages, operation, binding


def description() -> str:
    """Return the whole document."""
    types = Types()
    parts = ["".join(lines) for lines in zip(*(_call(types, name) for name in CALLS), strict=True)]
    elements, messages, operations, bindings = parts
    for name in VALUES:
        types.add(VmomiSupport.GetWsdlType(_SPACE, name))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<definitions targetNamespace="{_SPACE}" xmlns="http://schemas.xmlsoap.org/wsdl/"
  xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:vim="{_SPACE}"
  xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<types><schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="{_SPACE}"
  elementFormDefault="qualified">
{"".join(types.written.values())}
{elements}
</schema></types>
{messages}
<portType name="Port">{operations}</portType>
<binding name="Binding" type="vim:Port">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
{bindings}
</binding>
<service name="VimService"><port binding="vim:Binding" name="VimPort">
<soap:address location="https://localhost/sdk/vimService"/></port></service>
</definitions>
"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(description())
