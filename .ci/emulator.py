"""An emulator of AWS on loopback, with a record of who called what.

`emulator.py [TOKEN_SECONDS]` prints its port, and then a line for each call: the operation where the
request names one, else method and path. With TOKEN_SECONDS the identity pool refuses login tokens
that were issued longer ago, in the service's words, which the emulator by itself does not.
It runs until it is killed.
"""

import base64
import io
import json
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
    """Whether a call to the identity pool brings a login token that is too old."""
    if TOKEN_SECONDS is None or "CognitoIdentityService" not in environ.get("HTTP_X_AMZ_TARGET", ""):
        return False
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    logins = json.loads(body).get("Logins", {}).values()
    tokens = [login for login in logins if "." in login]  # not the name of a developer's user
    return any(issued(token) + TOKEN_SECONDS < time.time() for token in tokens)


class Recorded:
    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        call = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        print(environ.get("HTTP_X_AMZ_TARGET", call), flush=True)
        if not expired(environ):
            return self.application(environ, start_response)
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
