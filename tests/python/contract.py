"""The contract as Python: stubs that grpcio-tools makes of proto/, as the README tells its readers to make them.

`auth`, `users` and `identity` have a service's stub and its messages under one name.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

PROTO = Path(__file__).resolve().parents[2] / "proto"


class Merged:
    """Several modules under one name."""

    def __init__(self, *modules):
        self.modules = modules

    def __getattr__(self, wanted):
        for module in self.modules:
            if hasattr(module, wanted):
                return getattr(module, wanted)
        raise AttributeError(wanted)


def _generate_stubs(folder):
    outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    files = sorted(PROTO.rglob("*.proto"))
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}", *outputs, *files], check=True)


# They are needed until they are imported.
with tempfile.TemporaryDirectory() as _stubs:
    _generate_stubs(_stubs)
    sys.path.insert(0, _stubs)
    from tandem.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
    from tandem.identity.v1 import identity_provider_service_pb2, identity_provider_service_pb2_grpc
    from tandem.users.v1 import user_pb2, users_service_pb2, users_service_pb2_grpc

    sys.path.remove(_stubs)

auth = Merged(auth_service_pb2, auth_service_pb2_grpc)
users = Merged(users_service_pb2, users_service_pb2_grpc, user_pb2)
identity = Merged(identity_provider_service_pb2, identity_provider_service_pb2_grpc)


def details_of(status):
    """The details of a google.rpc.Status by their names."""
    details = {}
    for packed in status.details:
        name = packed.type_url.rpartition(".")[2]
        details[name] = getattr(error_details_pb2, name)()
        assert packed.Unpack(details[name])
    return details


class Refusal:
    """What a failed call says, decoded."""

    def __init__(self, error):
        self.code = error.code()
        self.text = error.details()
        self.trailing = dict(error.trailing_metadata())
        status = rpc_status.from_call(error)
        # What a client makes up by itself has none.
        self.details = details_of(status) if status else {}

    @property
    def reason(self):
        return self.details["ErrorInfo"].reason

    @property
    def domain(self):
        return self.details["ErrorInfo"].domain


def decoded(path, message, of_answer=False):
    """The message of a call whose messages are bytes; None if the contract does not know it or cannot read it."""
    try:
        method = descriptor_pool.Default().FindMethodByName(path.strip("/").replace("/", "."))
        kind = method.output_type if of_answer else method.input_type
        return message_factory.GetMessageClass(kind).FromString(message)
    except (KeyError, DecodeError):
        return None
