"""What no process may say: the secrets that go through it.

Every channel that grpc opens from the import of this on remembers the passwords that its calls send and the tokens
that they bring, whoever makes them: a test cannot forget to. tandem_process adds what a process is started with, and
looks for all of it in what the process said.
"""

import base64
import json
import re
import struct
from pathlib import Path

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

import contract

# A shorter one would be found everywhere.
LEAST = 12
# So much of a longer one is looked for, from its beginning.
MOST = 128


class Secrets:
    """What must not be said, in every shape in which a careless line might show it, and what it is."""

    def __init__(self):
        # What no password is stored without: a hash is a secret that no test knows.
        self.shapes = {"$argon2": "a hash"}

    def add(self, what, secret):
        if len(secret) >= LEAST:
            self.shapes |= dict.fromkeys(shapes_of(secret[:MOST]), what)

    def add_token(self, token):
        """Its last part alone is what nobody else can make."""
        self.add("a token", token)
        self.add("the signature of a token", token.rpartition(".")[2])

    def add_file(self, file):
        """A key in PEM, a token on each line, or peppers behind their ids; nothing if there is no such file."""
        try:
            content = file.read_text(errors="replace")
        except (FileNotFoundError, IsADirectoryError):
            # It may have been there for a moment only.
            return
        for line in content.splitlines():
            if not line.startswith("-----"):
                for part in re.split("[:,]", line):
                    self.add(f"what is in {file.name}", part.strip())

    def add_settings(self, settings):
        for name, value in settings.items():
            if name.endswith(("PASSWORD", "TOKEN", "PEPPERS")):
                self.add(name, value)
            elif name.endswith(("KEY_FILE", "TOKEN_FILE", "PEPPERS_FILE")):
                self.add_file(Path(value))

    def add_those_of(self, message):
        """The fields of a message that the contract marks as secret, or that are called like one."""
        for field, value in message.ListFields():
            for one in value if field.is_repeated else [value]:
                if isinstance(one, Message):
                    self.add_those_of(one)
                elif field.type == FieldDescriptor.TYPE_STRING and is_secret(field):
                    self.add_token(one) if field.name.endswith("token") else self.add(f"a {field.name}", one)

    def look_into(self, place, said, may_show=None):
        """Fails if any is in what was said somewhere."""
        shown = shapes_of(may_show) if may_show else ()
        for shape, what in list(self.shapes.items()):
            if shape in said and shape not in shown:
                line = next((line for line in said.splitlines() if shape in line), said)
                raise AssertionError(f"{place} shows {what} as {shape}:\n{line[:2000]}")


def is_secret(field):
    return field.GetOptions().debug_redact or field.name.endswith("password") or field.name == "access_token"


def shapes_of(secret):
    """As text, in JSON, as bytes one by one, and in the base64 of something that has it at whatever place in it."""
    octets = secret.encode()
    shapes = {secret, json.dumps(secret)[1:-1], ", ".join(map(str, octets))}
    for before, of_before in ((0, 0), (1, 2), (2, 3)):
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            # The last digit has bits of what comes after.
            shapes.add(alphabet(bytes(before) + octets).decode().rstrip("=")[of_before:-1])
    return shapes


# Those of this run.
SECRETS = Secrets()


def remember_message(path, message, of_answer=False):
    """Of a call of this path, whether its messages are bytes or not."""
    if isinstance(message, bytes):
        message = contract.decoded(path, message, of_answer)
    if isinstance(message, Message):
        SECRETS.add_those_of(message)


def framed(path, message, credential=""):
    """A call's message as gRPC sends it, and whoever sends its credential: for clients that know nothing of gRPC."""
    SECRETS.add_token(credential)
    remember_message(path, message)
    return b"\0" + struct.pack(">I", len(message)) + message


def remember_credential(metadata):
    for name, value in metadata or ():
        if name == "authorization":
            SECRETS.add_token(value.rpartition(" ")[2])
        elif name == "x-session-token":
            SECRETS.add_token(value)


class Listener(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Hears what is asked and what is answered."""

    def intercept_unary_unary(self, continuation, details, request):
        self.hear(details, request)
        call = continuation(details, request)

        def answered(call):
            remember_credential(call.initial_metadata())
            remember_credential(call.trailing_metadata())
            if not call.cancelled() and call.exception() is None:
                remember_message(details.method, call.result(), of_answer=True)

        call.add_done_callback(answered)
        return call

    def intercept_unary_stream(self, continuation, details, request):
        """No stream of the contract brings secrets."""
        self.hear(details, request)
        return continuation(details, request)

    def hear(self, details, request):
        remember_credential(details.metadata)
        remember_message(details.method, request)


def _listening(opens):
    return lambda *arguments, **named: grpc.intercept_channel(opens(*arguments, **named), Listener())


grpc.insecure_channel = _listening(grpc.insecure_channel)
grpc.secure_channel = _listening(grpc.secure_channel)
