"""An emulator of AWS on loopback, with a record of who called what.

`emulator.py [TOKEN_SECONDS]` prints its port, and then a line for each call: the operation if the
request names one, else method and path. If a program with a name (`AWS_SDK_UA_APP_ID`) signs a
request, a second line follows: `NAME signed with ACCESS-KEY-ID`.

It changes moto in two ways. Each call for the credentials of an identity gets another access key.
With TOKEN_SECONDS, the identity pool rejects login tokens that are older, with the message of the
real service. The emulator runs until it is killed.
"""

import base64
import io
import itertools
import json
import re
import sys
import time

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

TOKEN_SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else None


def issued(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iat"]


def expired(environ):
    """Whether a call to the identity pool has a login token that is too old."""
    if TOKEN_SECONDS is None or "CognitoIdentityService" not in environ.get("HTTP_X_AMZ_TARGET", ""):
        return False
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    logins = json.loads(body).get("Logins", {}).values()
    tokens = [login for login in logins if "." in login]  # not the name of a developer's user
    return any(issued(token) + TOKEN_SECONDS < time.time() for token in tokens)


def signer(environ):
    """Returns the line with the access key that signed the request, or nothing without a name."""
    name = re.search(r"\bapp/(\S+)", environ.get("HTTP_USER_AGENT", ""))
    key = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return [f"{name[1]} signed with {key[1]}"] if name and key else []


class Recorded:
    keys = itertools.count(10000)

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        call = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        lines = [environ.get("HTTP_X_AMZ_TARGET", call), *signer(environ)]
        # In one write, because several threads print.
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        if not expired(environ):
            body = self.application(environ, start_response)
            if not environ.get("HTTP_X_AMZ_TARGET", "").endswith(".GetCredentialsForIdentity"):
                return body
            key = b"TESTACCESSKEY%d" % next(self.keys)
            return [part.replace(b"TESTACCESSKEY12345", key) for part in body]
        start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
        text = "Invalid login token. Token expired: 1 >= 0"
        return [json.dumps({"__type": "NotAuthorizedException", "message": text}).encode()]


class Handler(MotoRequestHandler):
    def log_request(self, *arguments):
        pass


server = make_server(
    "127.0.0.1",
    0,
    Recorded(DomainDispatcherApplication(create_backend_app)),
    threaded=True,
    request_handler=Handler,
)
print(server.server_port, flush=True)
server.serve_forever()
