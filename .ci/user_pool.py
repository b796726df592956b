"""A user pool in the emulator at the given URL, with one user and three app clients.

`user_pool.py URL FOLDER` creates it and an identity pool that allows guests and this user pool. It
signs the user in to two app clients, writes the refresh tokens to FOLDER/plain and FOLDER/secret,
and prints the settings as lines for a shell. The third app client rotates refresh tokens, if the
emulator can do that. Without identity pools or developer identities, their lines are missing.
`user_pool.py URL sign-out POOL` signs the user out everywhere.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

USER, PASSWORD = "ann", "Correct-horse-1"


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="eu-west-1",
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
        config=Config(retries={"total_max_attempts": 1}),
    )


users = client("cognito-idp")
if sys.argv[2] == "sign-out":
    users.admin_user_global_sign_out(UserPoolId=sys.argv[3], Username=USER)
    sys.exit()

pool = users.create_user_pool(PoolName="ci")["UserPool"]["Id"]
users.admin_create_user(UserPoolId=pool, Username=USER, MessageAction="SUPPRESS")
users.admin_set_user_password(UserPoolId=pool, Username=USER, Password=PASSWORD, Permanent=True)
print(f"USER_POOL_ID={pool}")
print(f"USER_NAME={USER} USER_PASSWORD={PASSWORD}")
apps = []
for kind in ("plain", "secret"):
    app = users.create_user_pool_client(
        UserPoolId=pool,
        ClientName=kind,
        GenerateSecret=kind == "secret",
        ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )["UserPoolClient"]
    apps.append(app["ClientId"])
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
rotating = users.create_user_pool_client(
    UserPoolId=pool,
    ClientName="rotating",
    ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"],
    RefreshTokenRotation={"Feature": "ENABLED", "RetryGracePeriodSeconds": 60},
)["UserPoolClient"]["ClientId"]
print(f"ROTATING_CLIENT_ID={rotating}")

provider = f"cognito-idp.eu-west-1.amazonaws.com/{pool}"
identities = client("cognito-identity")
try:
    identity_pool = identities.create_identity_pool(
        IdentityPoolName="ci",
        AllowUnauthenticatedIdentities=True,
        DeveloperProviderName="developer",
        CognitoIdentityProviders=[
            {"ProviderName": provider, "ClientId": app} for app in [*apps, rotating]
        ],
    )["IdentityPoolId"]
except ClientError as error:
    if "Unsupported" in str(error):
        sys.exit()
    raise
print(f"USER_IDENTITY_POOL_ID={identity_pool}")
try:
    developer = identities.get_open_id_token_for_developer_identity(
        IdentityPoolId=identity_pool, Logins={"developer": USER}
    )
    print(f"DEVELOPER_IDENTITY_ID={developer['IdentityId']} DEVELOPER_TOKEN={developer['Token']}")
except ClientError as error:
    if "Unknown Cognito Identity action" not in str(error):
        raise
trust = {
    "Effect": "Allow",
    "Principal": {"Federated": "cognito-identity.amazonaws.com"},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {"cognito-identity.amazonaws.com:aud": identity_pool}},
}
role = client("iam").create_role(
    RoleName=f"device-{pool[-9:]}",
    AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
)["Role"]
print(f"ROLE_ARN={role['Arn']}")
