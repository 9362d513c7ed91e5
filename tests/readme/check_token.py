"""Asks the identity-provider port what a token is worth: check_token.py ADDRESS CREDENTIAL_FILE TOKEN"""

import sys
from pathlib import Path

import grpc
from tandem.identity.v1 import identity_provider_service_pb2 as port
from tandem.identity.v1 import identity_provider_service_pb2_grpc as port_grpc

address, credential_file, token = sys.argv[1:]
ours = [("authorization", f"Bearer {Path(credential_file).read_text().split()[0]}")]
with grpc.insecure_channel(address) as channel:
    provider = port_grpc.IdentityProviderServiceStub(channel)
    request = port.AuthenticateRequest(access_token=token, skip_renewal=True)
    answer = provider.Authenticate(request, metadata=ours, timeout=2)
if answer.WhichOneof("outcome") == "principal":
    print(f"{answer.principal.username} is logged in")
else:
    print(f"nobody: {port.DenialReason.Name(answer.denied.reason)}")
