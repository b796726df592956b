"""Gets the credentials with awscrt: `peer.py URL CA_FILE`. Its provider never calls GetId, so this
program calls it with the HTTP client of awscrt. The provider takes a host without a port, so the
service must be at port 443 of localhost. The cache has no Python API, so there is no cached get."""

import json
import sys

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpClientConnection, HttpHeaders, HttpRequest
from awscrt.io import ClientTlsContext, InputStream, TlsContextOptions
from io import BytesIO

import report

POOL = "us-east-1:12345678-dead-beef-cafe-123456790ab0"
HOST = "localhost"

options = TlsContextOptions()
options.override_default_trust_store_from_path(ca_filepath=sys.argv[2])
tls = ClientTlsContext(options)


def get_id():
    connect = tls.new_connection_options()
    connect.set_server_name(HOST)
    connection = HttpClientConnection.new(HOST, 443, tls_connection_options=connect).result(10)
    body = json.dumps({"IdentityPoolId": POOL}).encode()
    headers = HttpHeaders([
        ("host", HOST),
        ("content-type", "application/x-amz-json-1.1"),
        ("content-length", str(len(body))),
        ("x-amz-target", "AWSCognitoIdentityService.GetId"),
    ])
    answer = bytearray()
    request = HttpRequest("POST", "/", headers, InputStream(BytesIO(body)))
    stream = connection.request(request, on_body=lambda http_stream, chunk: answer.extend(chunk))
    stream.activate()
    if stream.completion_future.result(10) != 200:
        sys.exit("GetId failed")
    return json.loads(answer)["IdentityId"]


provider = AwsCredentialsProvider.new_cognito(endpoint=HOST, identity=get_id(), tls_ctx=tls)
print("key", provider.get_credentials().result(10).access_key_id, flush=True)
report.peak()
