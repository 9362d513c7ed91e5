#!/usr/bin/env python3
"""Speaks to the real all-in-one as any client in another language would.

The stubs are generated from proto/ by grpcio-tools, errors are decoded by grpcio-status (contract.py), tokens are
checked with the published key and nothing else: no code of this repository but the contract. Run by `tests/run python`.
"""

import argparse
import base64
import json
import sys
import tempfile
import time
import unittest
import urllib.request
import uuid
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

import suite
from contract import Refusal, auth, identity, users
from tandem_process import Tandem

PASSWORD = "a long walk by the sea"

tandem: Tandem


def name():
    """A username that nobody has."""
    return "u" + uuid.uuid4().hex[:15]


def bearer(token):
    return (("authorization", f"Bearer {token}"),)


class Caller(unittest.TestCase):
    """What the tests have in common: a channel to each listener."""

    @classmethod
    def setUpClass(cls):
        cls.auth_channel = grpc.insecure_channel(tandem.auth)
        cls.users_channel = grpc.insecure_channel(tandem.users)
        cls.identity_channel = grpc.insecure_channel(tandem.identity)
        cls.auth = auth.AuthServiceStub(cls.auth_channel)
        cls.users = users.UsersServiceStub(cls.users_channel)
        cls.identity = identity.IdentityProviderServiceStub(cls.identity_channel)

    @classmethod
    def tearDownClass(cls):
        for channel in (cls.auth_channel, cls.users_channel, cls.identity_channel):
            channel.close()

    def refused(self, method, *arguments, **named):
        with self.assertRaises(grpc.RpcError) as caught:
            method(*arguments, timeout=10, **named)
        return Refusal(caught.exception)

    def sign_up(self, username=None):
        return self.auth.SignUp(auth.SignUpRequest(username=username or name(), password=PASSWORD), timeout=10)

    def log_in(self):
        username = name()
        self.sign_up(username)
        return self.auth.LogIn(auth.LogInRequest(username=username, password=PASSWORD), timeout=10)


class Errors(Caller):
    def test_every_bad_field_is_named_with_a_reason(self):
        request = auth.SignUpRequest(username="._", password="short", request_id="not a uuid")
        refusal = self.refused(self.auth.SignUp, request)
        self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual((refusal.domain, refusal.reason), ("auth.tandem", "ERROR_REASON_INVALID_FIELD"))
        violations = refusal.details["BadRequest"].field_violations
        self.assertEqual({violation.field for violation in violations}, {"username", "password", "request_id"})
        for violation in violations:
            self.assertTrue(violation.reason, violation)
            self.assertTrue(violation.description, violation)

    def test_a_refusal_names_the_request(self):
        chosen = (("x-request-id", "seen-by-the-client-1"),)
        refusal = self.refused(self.auth.LogOut, auth.LogOutRequest(), metadata=chosen)
        self.assertEqual(refusal.details["RequestInfo"].request_id, "seen-by-the-client-1")
        self.assertEqual(refusal.trailing["x-request-id"], "seen-by-the-client-1")

    def test_a_taken_username_names_the_resource(self):
        username = name()
        self.sign_up(username)
        again = auth.SignUpRequest(username=username.upper(), password=PASSWORD)
        refusal = self.refused(self.auth.SignUp, again)
        self.assertEqual(refusal.code, grpc.StatusCode.ALREADY_EXISTS)
        self.assertEqual(refusal.reason, "ERROR_REASON_USERNAME_TAKEN")
        self.assertIn("ResourceInfo", refusal.details)

    def test_a_wrong_password_and_an_unknown_username_look_the_same(self):
        username = name()
        self.sign_up(username)
        wrong = auth.LogInRequest(username=username, password="another long password")
        unknown = auth.LogInRequest(username=name(), password="another long password")
        one, other = self.refused(self.auth.LogIn, wrong), self.refused(self.auth.LogIn, unknown)
        self.assertEqual(one.code, grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(one.reason, "ERROR_REASON_INVALID_CREDENTIALS")
        self.assertEqual((one.code, one.text, one.reason), (other.code, other.text, other.reason))
        self.assertEqual(one.details.keys(), other.details.keys())

    def test_whoever_guesses_is_told_how_long_to_wait_and_let_in_after_that(self):
        username = name()
        self.sign_up(username)
        wrong = auth.LogInRequest(username=username, password="not the password at all")
        for _ in range(5):
            self.assertEqual(self.refused(self.auth.LogIn, wrong).reason, "ERROR_REASON_INVALID_CREDENTIALS")
        # Each delay is twice the one before. Whoever is so slow that one has passed meets the next.
        for longest in (1, 2, 4, 8):
            refusal = self.refused(self.auth.LogIn, wrong)
            if refusal.reason != "ERROR_REASON_INVALID_CREDENTIALS":
                break
        self.assertEqual(refusal.code, grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual((refusal.domain, refusal.reason), ("auth.tandem", "ERROR_REASON_RATE_LIMITED"))
        self.assertEqual(refusal.details["RequestInfo"].request_id, refusal.trailing["x-request-id"])
        delay = refusal.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds()
        self.assertGreater(delay, 0)
        self.assertLessEqual(delay, longest)

        right = auth.LogInRequest(username=username, password=PASSWORD)
        time.sleep(delay)
        self.assertTrue(self.auth.LogIn(right, timeout=10).access_token)

    def test_a_role_that_is_too_low_says_which_is_needed(self):
        metadata = bearer(self.log_in().access_token)
        refusal = self.refused(self.users.ListUsers, users.ListUsersRequest(page_size=-1), metadata=metadata)
        self.assertEqual(refusal.code, grpc.StatusCode.PERMISSION_DENIED)
        self.assertEqual((refusal.domain, refusal.reason), ("users.tandem", "ERROR_REASON_ROLE_TOO_LOW"))
        self.assertEqual(refusal.details["ErrorInfo"].metadata["required_role"], "USER_ROLE_ADMIN")

    def test_a_request_that_is_too_large_is_refused_as_such(self):
        request = auth.LogInRequest(username=name(), password="x" * 1024 * 1024)
        refusal = self.refused(self.auth.LogIn, request)
        self.assertEqual(refusal.code, grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(refusal.reason, "ERROR_REASON_REQUEST_TOO_LARGE")

    def test_a_body_that_does_not_decode_is_refused_as_such(self):
        call = self.auth_channel.unary_unary(
            "/tandem.auth.v1.AuthService/LogIn", request_serializer=bytes, response_deserializer=bytes
        )
        refusal = self.refused(call, b"\x0a\xff")
        self.assertEqual(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(refusal.reason, "ERROR_REASON_MALFORMED_REQUEST")

    def test_an_unknown_method_is_refused_as_such(self):
        call = self.users_channel.unary_unary(
            "/tandem.users.v1.UsersService/DeleteUser", request_serializer=bytes, response_deserializer=bytes
        )
        refusal = self.refused(call, b"")
        self.assertEqual(refusal.code, grpc.StatusCode.UNIMPLEMENTED)
        self.assertEqual(refusal.reason, "ERROR_REASON_UNKNOWN_METHOD")

    def test_the_port_is_for_workloads(self):
        refusal = self.refused(self.identity.Authenticate, identity.AuthenticateRequest(access_token="x"))
        self.assertEqual(refusal.code, grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(refusal.domain, "identity.tandem")
        self.assertEqual(refusal.reason, "ERROR_REASON_WORKLOAD_UNAUTHENTICATED")


class Sessions(Caller):
    def test_whoever_has_just_signed_up_is_known_to_the_other_service(self):
        username = name()
        user_id = self.sign_up(username).user_id
        answer = self.auth.LogIn(auth.LogInRequest(username=username, password=PASSWORD), timeout=10)
        metadata = bearer(answer.access_token)
        user = self.users.GetCurrentUser(users.GetCurrentUserRequest(), metadata=metadata, timeout=10).user
        self.assertEqual((user.user_id, user.username), (user_id, username))
        self.assertEqual(user.role, users.USER_ROLE_USER)

    def renewed(self, method, request, token):
        """Calls until the token's clock has moved on; returns the metadata of the first answer that renews."""
        for _ in range(20_000):
            try:
                _, call = method.with_call(request, metadata=bearer(token), timeout=10)
                metadata = dict(call.initial_metadata())
            except grpc.RpcError as error:
                metadata = dict(error.trailing_metadata())
            if "x-session-token" in metadata:
                return metadata
        self.fail("the token was never renewed")

    def test_a_renewed_token_comes_with_the_answer(self):
        token = self.log_in().access_token
        metadata = self.renewed(self.auth.GetCurrentSession, auth.GetCurrentSessionRequest(), token)
        self.assertNotEqual(metadata["x-session-token"], token)
        self.assertRegex(metadata["x-session-expire-time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        again = bearer(metadata["x-session-token"])
        self.auth.GetCurrentSession(auth.GetCurrentSessionRequest(), metadata=again, timeout=10)

    def test_a_renewed_token_comes_with_a_refusal_too(self):
        token = self.log_in().access_token
        metadata = self.renewed(self.users.ListUsers, users.ListUsersRequest(), token)
        self.assertIn("x-session-expire-time", metadata)
        again = bearer(metadata["x-session-token"])
        self.users.GetCurrentUser(users.GetCurrentUserRequest(), metadata=again, timeout=10)

    def test_a_token_can_be_verified_with_the_published_key(self):
        answer = self.log_in()
        header, claims, signature = (decoded(part) for part in answer.access_token.split("."))
        header, claims = json.loads(header), json.loads(claims)
        self.assertEqual((header["alg"], header["typ"]), ("EdDSA", "at+jwt"))
        self.assertEqual(set(claims), {"iss", "aud", "sub", "sid", "iat", "exp", "auth_time"})
        self.assertEqual((claims["sub"], claims["sid"]), (answer.session.user_id, answer.session.session_id))

        with urllib.request.urlopen(f"http://{tandem.auth_ops}/.well-known/jwks.json", timeout=10) as page:
            published = {key["kid"]: key for key in json.load(page)["keys"]}
        key = Ed25519PublicKey.from_public_bytes(decoded(published[header["kid"]]["x"]))
        key.verify(signature, answer.access_token.rpartition(".")[0].encode())


class Discovery(Caller):
    """What tools ask before they call: which services there are, and whether they are well."""

    def reflected(self, channel, version, request):
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(call(iter([request]), timeout=10))

    def services(self, channel, version):
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = self.reflected(channel, version, request)
        return {service.name for service in answer.list_services_response.service}

    def test_each_listener_reflects_what_it_serves(self):
        for version in ("v1", "v1alpha"):
            for channel, ours in (
                (self.auth_channel, "tandem.auth.v1.AuthService"),
                (self.users_channel, "tandem.users.v1.UsersService"),
            ):
                found = self.services(channel, version)
                self.assertEqual({service for service in found if service.startswith("tandem.")}, {ours})

    def defined_beside(self, channel, version, symbol):
        """The messages and services of the file that defines the symbol."""
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        files = self.reflected(channel, version, request).file_descriptor_response.file_descriptor_proto
        found = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in files]
        return {defined.name for file in found for defined in (*file.message_type, *file.service)}

    def test_error_details_and_health_can_be_resolved(self):
        for version in ("v1", "v1alpha"):
            for channel in (self.auth_channel, self.users_channel):
                self.assertIn("ErrorInfo", self.defined_beside(channel, version, "google.rpc.BadRequest"))
                self.assertIn("Health", self.defined_beside(channel, version, "grpc.health.v1.Health"))

    def test_every_listener_is_well(self):
        for channel, service in (
            (self.auth_channel, "tandem.auth.v1.AuthService"),
            (self.users_channel, "tandem.users.v1.UsersService"),
            (self.identity_channel, "tandem.identity.v1.IdentityProviderService"),
        ):
            for asked in ("", service):
                answer = health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(service=asked), timeout=10
                )
                self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING, asked)


def decoded(part):
    """Base64url without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def main():
    global tandem
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tandem", required=True, help="the binary of the all-in-one")
    arguments = arguments.parse_args()

    # Almost the whole life of a token counts as its last part, so that renewal needs no waiting.
    soon = {"AUTH__SESSION__REFRESH_THRESHOLD_RATIO": "0.999999"}
    with tempfile.TemporaryDirectory() as folder, Tandem(arguments.tandem, Path(folder) / "data", soon) as tandem:
        return suite.run()


if __name__ == "__main__":
    sys.exit(main())
