"""A user pool in the emulator at the given URL, with one user and two app clients.

`user_pool.py URL FOLDER` creates it and an identity pool, signs the user in to both app clients,
leaves the refresh tokens in FOLDER/plain and FOLDER/secret, and prints the settings as lines for a
shell. `user_pool.py URL sign-out POOL` signs the user out everywhere.
"""

import base64
import hashlib
import hmac
import pathlib
import sys

import boto3

USER, PASSWORD = "ann", "Correct-horse-1"


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="eu-west-1",
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
    )


users = client("cognito-idp")
if sys.argv[2] == "sign-out":
    users.admin_user_global_sign_out(UserPoolId=sys.argv[3], Username=USER)
    sys.exit()

pool = users.create_user_pool(PoolName="ci")["UserPool"]["Id"]
users.admin_create_user(UserPoolId=pool, Username=USER)
users.admin_set_user_password(UserPoolId=pool, Username=USER, Password=PASSWORD, Permanent=True)
print(f"USER_POOL_ID={pool}")
for kind in ("plain", "secret"):
    app = users.create_user_pool_client(
        UserPoolId=pool,
        ClientName=kind,
        GenerateSecret=kind == "secret",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )["UserPoolClient"]
    parameters = {"USERNAME": USER, "PASSWORD": PASSWORD}
    print(f"{kind.upper()}_CLIENT_ID={app['ClientId']}")
    if kind == "secret":
        secret = app["ClientSecret"]
        print(f"SECRET_CLIENT_SECRET={secret}")
        digest = hmac.new(secret.encode(), (USER + app["ClientId"]).encode(), hashlib.sha256)
        parameters["SECRET_HASH"] = base64.b64encode(digest.digest()).decode()
    signed_in = users.initiate_auth(
        AuthFlow="USER_PASSWORD_AUTH", ClientId=app["ClientId"], AuthParameters=parameters
    )
    token = signed_in["AuthenticationResult"]["RefreshToken"]
    pathlib.Path(sys.argv[2], kind).write_text(token)
identities = client("cognito-identity").create_identity_pool(
    IdentityPoolName="ci", AllowUnauthenticatedIdentities=False
)
print(f"USER_IDENTITY_POOL_ID={identities['IdentityPoolId']}")
