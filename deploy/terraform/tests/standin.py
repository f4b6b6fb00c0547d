#!/usr/bin/env python3
"""A stand-in for Terraform's AWS provider: its schema (schema.json), and no AWS.

Terraform asks it what resources look like, and checks our files against that: names and types of arguments, blocks that
must be there, references, conditions, functions. A plan made with it holds the values that AWS would be asked for, with
made-up ARNs where AWS would give its own. Nothing is created, nothing is looked up, and whether AWS accepts a value it
cannot say.

    with standin.running() as environment:
        subprocess.run(["terraform", "init"], env=environment)

It speaks as much of Terraform's plugin protocol (version 5) as init, validate and plan need.
"""

import contextlib
import json
import os
import pathlib
import re
from concurrent import futures

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = pathlib.Path(__file__).resolve().parent
ACCOUNT = "123456789012"
REGION = "eu-central-1"

# --- the protocol -----------------------------------------------------------------------------------------------------
# Message: field, number, type; `*` in front: repeated, `{}` in front: a map from text. Only what is used here; Terraform
# skips what it does not find.
MESSAGES = {
    "Value": "msgpack 1 bytes, json 2 bytes",
    "Diagnostic": "severity 1 int, summary 2 text, detail 3 text",
    "RawState": "json 1 bytes",
    "Schema": "version 1 int, block 2 Block",
    "Block": "version 1 int, attributes 2 *Attribute, block_types 3 *Nested",
    "Attribute": "name 1 text, type 2 bytes, required 4 bool, optional 5 bool, computed 6 bool, sensitive 7 bool, write_only 10 bool",
    "Nested": "type_name 1 text, block 2 Block, nesting 3 int, min_items 4 int, max_items 5 int",
    "Empty": "",
    "SchemaAnswer": "provider 1 Schema, resource_schemas 2 {}Schema, data_source_schemas 3 {}Schema, diagnostics 4 *Diagnostic",
    "Config": "config 1 Value",
    "Prepared": "prepared_config 1 Value, diagnostics 2 *Diagnostic",
    "TypeConfig": "type_name 1 text, config 2 Value",
    "Diagnostics": "diagnostics 1 *Diagnostic",
    "Upgrade": "type_name 1 text, version 2 int, raw_state 3 RawState",
    "Upgraded": "upgraded_state 1 Value, diagnostics 2 *Diagnostic",
    "Configure": "terraform_version 1 text, config 2 Value",
    "Read": "type_name 1 text, current_state 2 Value",
    "WasRead": "new_state 1 Value, diagnostics 2 *Diagnostic",
    "Plan": "type_name 1 text, prior_state 2 Value, proposed_new_state 3 Value, config 4 Value",
    "Planned": "planned_state 1 Value, diagnostics 4 *Diagnostic, legacy_type_system 5 bool",
    "DataAnswer": "state 1 Value, diagnostics 2 *Diagnostic",
    "Stopped": "Error 1 text",
}  # fmt: skip
SIMPLE = {"bytes": 12, "text": 9, "bool": 8, "int": 3}


def build_messages():
    """Classes for MESSAGES."""
    file = descriptor_pb2.FileDescriptorProto(name="standin.proto", package="standin", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for part in filter(None, fields.split(", ")):
            field_name, number, kind = part.split(" ")
            field = message.field.add(name=field_name, number=int(number), label=1)
            if kind.startswith("{}"):
                entry_name = "".join(word.capitalize() for word in field_name.split("_")) + "Entry"
                entry = message.nested_type.add(name=entry_name)
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=9, label=1)
                entry.field.add(name="value", number=2, type=11, label=1, type_name=f".standin.{kind[2:]}")
                field.label, field.type, field.type_name = 3, 11, f".standin.{name}.{entry_name}"
                continue
            if kind.startswith("*"):
                field.label, kind = 3, kind[1:]
            if kind in SIMPLE:
                field.type = SIMPLE[kind]
            else:
                field.type, field.type_name = 11, f".standin.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"standin.{name}")) for name in MESSAGES}


M = build_messages()
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}


def as_block(schema):
    """A block of schema.json as a message."""
    result = M["Block"]()
    for name, (kind, flags) in schema["attributes"].items():
        result.attributes.add(
            name=name,
            type=json.dumps(kind).encode(),
            required="r" in flags,
            optional="o" in flags,
            computed="c" in flags,
            write_only="w" in flags,
        )
    for name, nested in schema["blocks"].items():
        result.block_types.add(
            type_name=name,
            block=as_block(nested),
            nesting=NESTING[nested["mode"]],
            min_items=nested["min"],
            max_items=nested["max"],
        )
    return result


# --- values -----------------------------------------------------------------------------------------------------------
# An unknown value travels as an extension of msgpack.


def unpack(value):
    return msgpack.unpackb(value.msgpack, strict_map_key=False) if value.msgpack else json.loads(value.json or b"null")


def pack(value):
    return M["Value"](msgpack=msgpack.packb(value))


def is_unknown(value):
    return isinstance(value, msgpack.ExtType)


def known(value):
    """A value with nothing where something would be unknown."""
    if is_unknown(value):
        return None
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [known(item) for item in value]
    return value


# Forms of ARNs that policies are made of. `{}` is the resource's name.
ARNS = {
    "aws_sqs_queue": "arn:aws:sqs:{region}:{account}:{name}",
    "aws_s3_bucket": "arn:aws:s3:::{name}",
    "aws_iam_role": "arn:aws:iam::{account}:role/{name}",
    "aws_kms_key": "arn:aws:kms:{region}:{account}:key/00000000-0000-4000-8000-000000000000",
    "aws_secretsmanager_secret": "arn:aws:secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    "aws_sns_topic": "arn:aws:sns:{region}:{account}:{name}",
    "aws_cloudwatch_log_group": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws_ecs_task_definition": "arn:aws:ecs:{region}:{account}:task-definition/{name}:1",
    "aws_ecs_cluster": "arn:aws:ecs:{region}:{account}:cluster/{name}",
}


def filled(type_name, schema, state):
    """A planned state in which what AWS would say is made up, the same each time."""
    name = next(
        (
            state[key]
            for key in ("bucket", "name", "identifier", "cluster_identifier", "family", "description", "name_prefix")
            if isinstance(state.get(key), str)
        ),
        type_name.removeprefix("aws_"),
    )
    arn = ARNS.get(type_name, "arn:aws:standin:{region}:{account}:" + type_name.removeprefix("aws_") + "/{name}")
    arn = arn.format(region=REGION, account=ACCOUNT, name=name)
    made_up = {
        "arn": arn,
        "id": name,
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}",
        "arn_suffix": f"{type_name.removeprefix('aws_')}/{name}",
        "arn_without_revision": arn.rsplit(":", 1)[0],
        "dns_name": f"{name}.example.net",
        "address": f"{name}.example.net",
        "public_ip": "192.0.2.1",
    }
    if type_name == "aws_sqs_queue":
        made_up["id"] = made_up["url"]
    if type_name in ("aws_secretsmanager_secret", "aws_lb", "aws_lb_target_group", "aws_sns_topic", "aws_ecs_cluster"):
        made_up["id"] = arn
    result = dict(state)
    for attribute, (kind, flags) in schema["attributes"].items():
        is_theirs = flags == "c" or attribute == "id"
        if "w" in flags:
            result[attribute] = None
        elif is_theirs and (result.get(attribute) is None or is_unknown(result[attribute])):
            result[attribute] = made_up.get(attribute, f"made-up-{attribute}" if kind == "string" else None)
    return known(result)


# What the bindings behind schema.json do not tell, and a second plan without the secrets meets: neither without the other.
GIVEN_TOGETHER = {
    "aws_secretsmanager_secret_version": ("secret_string_wo", "secret_string_wo_version"),
    "aws_db_instance": ("password_wo", "password_wo_version"),
    "aws_redshift_cluster": ("master_password_wo", "master_password_wo_version"),
}


def pair_faults(type_name, config):
    """Arguments that are there without the one that they need, as sentences. What is not known yet counts as there."""
    pair = GIVEN_TOGETHER.get(type_name, ())
    missing = [argument for argument in pair if config.get(argument) is None]
    if len(missing) == 1:
        yield f"{type_name}: {pair[0]} and {pair[1]} must be given together, and {missing[0]} is not"


DATA = {
    "aws_region": {"region": REGION, "name": REGION, "id": REGION},
    "aws_caller_identity": {"account_id": ACCOUNT, "id": ACCOUNT},
    "aws_partition": {"partition": "aws", "id": "aws", "dns_suffix": "amazonaws.com"},
    "aws_availability_zones": {"names": [f"{REGION}{zone}" for zone in "abc"], "id": REGION},
}


class Provider:
    """The calls, by their names in the protocol."""

    def __init__(self):
        self.schema = json.loads((HERE / "schema.json").read_text(encoding="utf-8"))

    def calls(self):
        """Name, form of the question, and who answers."""
        return {
            "GetSchema": ("Empty", self.get_schema),
            "PrepareProviderConfig": ("Config", lambda asked: M["Prepared"](prepared_config=asked.config)),
            "ValidateResourceTypeConfig": ("TypeConfig", self.validate),
            "ValidateDataSourceConfig": ("TypeConfig", lambda asked: M["Diagnostics"]()),
            "Configure": ("Configure", lambda asked: M["Diagnostics"]()),
            "UpgradeResourceState": ("Upgrade", lambda asked: M["Upgraded"](upgraded_state=M["Value"](json=asked.raw_state.json))),
            "ReadResource": ("Read", lambda asked: M["WasRead"](new_state=asked.current_state)),
            "PlanResourceChange": ("Plan", self.plan),
            "ReadDataSource": ("TypeConfig", self.read_data),
            "Stop": ("Empty", lambda asked: M["Stopped"]()),
        }  # fmt: skip

    def get_schema(self, _):
        answer = M["SchemaAnswer"]()
        answer.provider.block.CopyFrom(as_block(self.schema["provider"]))
        for name, schema in self.schema["resource"].items():
            answer.resource_schemas[name].block.CopyFrom(as_block(schema))
        for name, schema in self.schema["data"].items():
            answer.data_source_schemas[name].block.CopyFrom(as_block(schema))
        return answer

    def validate(self, asked):
        answer = M["Diagnostics"]()
        for fault in pair_faults(asked.type_name, unpack(asked.config)):
            answer.diagnostics.add(severity=1, summary=fault)
        return answer

    def plan(self, asked):
        proposed = unpack(asked.proposed_new_state)
        if proposed is not None:
            proposed = filled(asked.type_name, self.schema["resource"][asked.type_name], proposed)
        # As the real one, it may say null where something was not set.
        return M["Planned"](planned_state=pack(proposed), legacy_type_system=True)

    def read_data(self, asked):
        state = known(unpack(asked.config))
        return M["DataAnswer"](state=pack({**state, **DATA[asked.type_name]}))


@contextlib.contextmanager
def running():
    """Runs it on loopback; gives the environment in which Terraform asks it and nobody else."""
    provider = Provider()
    handlers = {}
    for name, (question, answer) in provider.calls().items():
        handlers[name] = grpc.unary_unary_rpc_method_handler(
            lambda asked, _, answer=answer: answer(asked),
            request_deserializer=M[question].FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
    server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    attached = {
        "Protocol": "grpc",
        "ProtocolVersion": 5,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
    }
    # Nothing of whoever runs this: no settings, no account, no variables.
    environment = {key: value for key, value in os.environ.items() if not re.match(r"TF_|AWS_", key)}
    environment |= {
        "TF_REATTACH_PROVIDERS": json.dumps({"registry.terraform.io/hashicorp/aws": attached}),
        "TF_CLI_CONFIG_FILE": os.devnull,
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        "NO_PROXY": "127.0.0.1",
    }
    try:
        yield environment
    finally:
        server.stop(None).wait()
