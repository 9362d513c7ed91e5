"""Asks Tandem who a token's user is: check_caller.py ADDRESS TOKEN"""

import sys

import grpc
from tandem.users.v1 import user_pb2, users_service_pb2, users_service_pb2_grpc


def caller(users, token):
    """The user behind the token, or None. Raises when nobody can tell: an outage is not a "no"."""
    request = users_service_pb2.GetCurrentUserRequest(skip_renewal=True)
    try:
        answer = users.GetCurrentUser(request, metadata=[("authorization", f"Bearer {token}")], timeout=2)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            return None
        raise
    return answer.user


address, token = sys.argv[1:]
with grpc.insecure_channel(address) as channel:
    user = caller(users_service_pb2_grpc.UsersServiceStub(channel), token)
print(f"{user.username} has the role {user_pb2.UserRole.Name(user.role)}" if user else "nobody")
