#!/usr/bin/env python3
"""Writes schema.json: arguments, blocks and attributes of the AWS provider's resources that our files use.

The provider itself cannot be had here. Its schema can: the bindings that CDK Terrain generates from it name, for every
argument, its type, whether it is a block, and whether it must be there. They are published on npm.

    npm pack @cdktn/provider-aws@25.7.0
    python3 schema.py cdktn-provider-aws-25.7.0.tgz

Run it again when a file uses a resource that schema.json lacks; check.py says so. What the bindings do not tell: which
values an argument takes, and which arguments exclude each other.
"""

import json
import pathlib
import re
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent

# What the bindings call a type, and what Terraform does.
SIMPLE = {
    "string": "string",
    "number": "number",
    "boolean": "bool",
    "stringList": ["list", "string"],
    "numberList": ["list", "number"],
    "booleanList": ["list", "bool"],
    "stringMap": ["map", "string"],
    "numberMap": ["map", "number"],
    "booleanMap": ["map", "bool"],
}
GETTERS = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getBooleanMapAttribute": ["map", "bool"],
    "getNumberMapAttribute": ["map", "number"],
}


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def interfaces(text):
    """Fields of each interface: name, whether optional, type."""
    found = {}
    for match in re.finditer(r"export interface (\w+)[^{]*\{(.*?)\n\}", text, re.DOTALL):
        fields = re.findall(r"readonly (\w+)(\??): ([^;]+);", match.group(2))
        found[match.group(1)] = {name: (bool(optional), kind) for name, optional, kind in fields}
    return found


def attributes_of(code):
    """Entries of a generated `attrs = {…}`: name, the value's text, whether a block, type, class."""
    pattern = (
        r"^ +(\w+): \{\n +value: (.+),\n +isBlock: (true|false),\n +type: \"(\w+)\",\n"
        r" +storageClassType: \"(\w+)\",\n"
    )
    return re.findall(pattern, code, re.MULTILINE)


def functions(code):
    """Bodies of the functions that write a structure as HCL."""
    pattern = r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}"
    return {match.group(1): match.group(2) for match in re.finditer(pattern, code, re.MULTILINE | re.DOTALL)}


def block(entries, fields, code, faces):
    """A block of the schema. Attributes are [type, flags]: r required, o optional, c computed, w write-only."""
    attributes, blocks = {}, {}
    for name, value, is_block, kind, storage in entries:
        optional, declared = fields.get(camel(name), (True, ""))
        if is_block == "false" and storage in SIMPLE:
            type_ = SIMPLE[storage]
            if kind == "set":
                type_ = ["set", *type_[1:]]
            flags = "o" if optional else "r"
            attributes[name] = [type_, flags + ("w" if name.endswith("_wo") else "")]
            continue
        function = re.search(r"(\w+)ToHclTerraform", value)
        inner = code["functions"].get(function.group(1)) if function else None
        if inner is None:
            sys.exit(f"{name}: a form that is not known here: {value}")
        struct = function.group(1)[0].upper() + function.group(1)[1:]
        is_single = "[]" not in declared
        nested = block(attributes_of(inner), faces.get(struct, {}), code, faces)
        mode = "single" if kind == "struct" else kind
        blocks[name] = {
            "mode": mode,
            "min": 0 if optional or mode == "single" else 1,
            "max": 1 if is_single and mode != "single" else 0,
            **nested,
        }
    return {"attributes": attributes, "blocks": blocks}


def resource(code, declarations, is_provider=False):
    faces = interfaces(declarations)
    name = re.search(r"export interface (\w+Config)\b", declarations).group(1)
    texts = {"functions": functions(code)}
    body = code[code.index("synthesizeHclAttributes()") :]
    schema = block(attributes_of(body), faces[name], texts, faces)
    # What can be read of the resource itself: the class behind its structures.
    main = code[code.rindex("extends cdktn.Terraform") :]
    if not is_provider:
        for getter, attribute in re.findall(r"return this\.(\w+)\('(\w+)'\);", main):
            if getter in GETTERS:
                attributes = schema["attributes"]
                if attribute not in attributes:
                    attributes[attribute] = [GETTERS[getter], "c"]
                elif attributes[attribute][1] == "o":
                    attributes[attribute][1] = "oc"
        schema["attributes"].setdefault("id", ["string", "oc"])
    for nested in ("timeouts",):
        if nested in schema["blocks"]:
            schema["blocks"][nested]["mode"] = "single"
    return schema


def used():
    """Types of resources and data sources in our files."""
    kinds = set()
    for file in sorted(ROOT.rglob("*.tf")):
        kinds |= set(re.findall(r'^(resource|data) "aws_(\w+)"', file.read_text(encoding="utf-8"), re.MULTILINE))
    return sorted(kinds)


def folder(kind, name):
    # Two words that the bindings do not take as they are.
    dashed = name.replace("_", "-")
    return f"data-aws-{dashed}" if kind == "data" else dashed


def lines(schema):
    """JSON with a line for each resource, so that a change can be read."""
    parts = []
    for key, value in sorted(schema.items()):
        if key in ("resource", "data"):
            rows = [
                f"  {json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in sorted(value.items())
            ]
            parts.append(f"{json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n}")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}")
    return "{\n" + ",\n".join(parts) + "\n}"


def main():
    archive = tarfile.open(sys.argv[1])
    members = {member.name: member for member in archive.getmembers()}

    def text(path):
        return archive.extractfile(members[path]).read().decode()

    def read(name, **more):
        return resource(text(f"package/lib/{name}/index.js"), text(f"package/lib/{name}/index.d.ts"), **more)

    version = re.search(r"providerVersion: '([\d.]+)'", text("package/lib/sqs-queue/index.js")).group(1)
    schema = {"provider_version": version, "resource": {}, "data": {}}
    schema["provider"] = read("provider", is_provider=True)
    for kind, name in used():
        schema[kind][f"aws_{name}"] = read(folder(kind, name))
    # Of the provider's own arguments only what we set; its list of endpoints is longer than all the rest.
    provider = schema["provider"]
    schema["provider"] = {
        "attributes": {"region": provider["attributes"]["region"]},
        "blocks": {"default_tags": provider["blocks"]["default_tags"]},
    }
    (HERE / "schema.json").write_text(lines(schema) + "\n")
    print(f"schema.json: provider {version}, {len(schema['resource'])} resources, {len(schema['data'])} data sources")


if __name__ == "__main__":
    main()
