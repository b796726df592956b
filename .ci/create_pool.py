"""Waits for the emulator at the given URL, creates an identity pool in it and prints its ID."""

import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

client = boto3.client(
    "cognito-identity",
    endpoint_url=sys.argv[1],
    region_name="eu-west-1",
    aws_access_key_id="emulator",
    aws_secret_access_key="emulator",
    config=Config(retries={"total_max_attempts": 1}),
)
for _ in range(120):
    try:
        pool = client.create_identity_pool(
            IdentityPoolName="quickstart", AllowUnauthenticatedIdentities=True
        )
        print(pool["IdentityPoolId"])
        break
    except EndpointConnectionError:
        time.sleep(0.5)
else:
    sys.exit("the emulator did not start")
