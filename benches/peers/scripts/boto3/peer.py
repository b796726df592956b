"""Gets the credentials with boto3: `peer.py URL CA_FILE [THREADS | steps]`. boto3 has no provider
for identity pools, so this program makes the two calls itself. botocore caches the result."""

import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

import report

POOL = "us-east-1:12345678-dead-beef-cafe-123456790ab0"

url, authority = sys.argv[1:3]
identity = None


def start():
    global client
    client = boto3.client(
        "cognito-identity",
        region_name="us-east-1",
        endpoint_url=url,
        verify=authority,
        config=Config(signature_version=UNSIGNED),
    )


def fetch():
    global identity
    identity = identity or client.get_id(IdentityPoolId=POOL)["IdentityId"]
    answer = client.get_credentials_for_identity(IdentityId=identity)["Credentials"]
    return {
        "access_key": answer["AccessKeyId"],
        "secret_key": answer["SecretKey"],
        "token": answer["SessionToken"],
        "expiry_time": answer["Expiration"].isoformat(),
    }


def step(restart):
    if restart:
        start()
    return fetch()["access_key"]


start()
if sys.argv[3:] == ["steps"]:
    report.steps(step)
elif len(sys.argv) > 3:
    credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "cognito")
    print("key", credentials.get_frozen_credentials().access_key, flush=True)
    report.cached(int(sys.argv[3]), credentials.get_frozen_credentials)
else:
    print("key", fetch()["access_key"], flush=True)
report.peak()
