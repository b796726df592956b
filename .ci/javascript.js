// Shows what AWS.CognitoIdentityCredentials does where this library differs. The table in
// tests/it/javascript.rs shows what this library does.

const assert = require("assert");
const http = require("http");
const AWS = require("aws-sdk");

const POOL = "us-east-1:00000000-0000-4000-8000-0000000000aa";
const IDENTITY = "us-east-1:12345678-dead-beef-cafe-123456790ab0";
const ROLE = "arn:aws:iam::123456789012:role/device";

let requests = [];
let expiration; // of the next keys; none if undefined
let refused = () => false; // whether a request of an operation gets the error ExpiredTokenException

async function answer(operation) {
  if (await refused(operation)) {
    return [400, JSON.stringify({ __type: "ExpiredTokenException", message: "m" })];
  }
  const keys = { AccessKeyId: `K${requests.length}`, SecretKey: "s", SessionToken: "t" };
  const end = expiration && new Date(expiration).toISOString();
  const result = {
    GetId: { IdentityId: IDENTITY },
    GetOpenIdToken: { IdentityId: IDENTITY, Token: "token" },
    GetCredentialsForIdentity: {
      IdentityId: IDENTITY,
      Credentials: { ...keys, Expiration: expiration && expiration / 1000 },
    },
  }[operation];
  if (result) return [200, JSON.stringify(result)];
  return [
    200,
    `<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>K</AccessKeyId>
    <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>${end ? `<Expiration>${end}</Expiration>` : ""}
    </Credentials></AssumeRoleWithWebIdentityResult></R>`,
  ];
}

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", async () => {
    const operation = (request.headers["x-amz-target"] || ".AssumeRoleWithWebIdentity").split(".")[1];
    requests.push({ operation, body });
    const [status, text] = await answer(operation);
    response.writeHead(status).end(text);
  });
});

async function check() {
  const config = {
    region: "us-east-1",
    endpoint: `http://127.0.0.1:${server.address().port}`,
    maxRetries: 0,
  };
  const make = (params) => new AWS.CognitoIdentityCredentials(params, config);

  // Keys without `Expiration` never expire.
  for (const params of [{ IdentityPoolId: POOL }, { IdentityPoolId: POOL, RoleArn: ROLE }]) {
    const credentials = make(params);
    await credentials.getPromise();
    const now = AWS.util.date.getDate;
    AWS.util.date.getDate = () => new Date(Date.now() + 10 * 365 * 86400e3);
    assert.strictEqual(credentials.needsRefresh(), false);
    AWS.util.date.getDate = now;
  }
  expiration = Date.now() + 3600e3;

  // `clientConfig.endpoint` is the endpoint of both services.
  requests = [];
  const classic = make({ IdentityPoolId: POOL, RoleArn: ROLE });
  await classic.getPromise();
  const operations = requests.map((request) => request.operation);
  assert.deepStrictEqual(operations, ["GetId", "GetOpenIdToken", "AssumeRoleWithWebIdentity"]);

  // The private members that docs/from-javascript.md names.
  for (const name of [
    ..."_identityId _clientConfig cognito sts storage webIdentityCredentials localStorageKey".split(" "),
    ..."cacheId loadCachedId getStorage setStorage clearIdOnNotAuthorized createClients load".split(" "),
    ..."coalesceRefresh refreshCallbacks loadCredentials getId getCredentialsForIdentity".split(" "),
    ..."getCredentialsFromSTS".split(" "),
  ]) {
    assert.ok(name in classic, name);
  }

  // `LoginId` is ignored without a storage; without a pool, `undefined` is the pool.
  const without = make({ IdentityId: IDENTITY, LoginId: "ann" });
  await without.getPromise();
  without.setStorage("id", IDENTITY);
  assert.ok(Object.keys(without.storage).includes("aws.cognito.identity-id.undefinedann"));

  // Assigning `identityId` changes nothing in the next request.
  const poked = make({ IdentityPoolId: POOL });
  await poked.getPromise();
  poked.identityId = "us-east-1:another";
  assert.strictEqual(poked.identityId, "us-east-1:another");
  requests = [];
  await poked.refreshPromise();
  assert.ok(requests.length === 1 && requests[0].body.includes(IDENTITY));

  // `ExpiredToken` expires whatever keys the object has. They stay readable after a failed refresh.
  const shared = make({ IdentityPoolId: POOL });
  await shared.getPromise();
  const rejected = shared.accessKeyId;
  refused = async (operation) => {
    if (operation === "ListTables") await shared.refreshPromise();
    return operation === "ListTables";
  };
  const service = new AWS.DynamoDB({ ...config, credentials: shared });
  await assert.rejects(service.listTables().promise());
  assert.ok(shared.accessKeyId !== rejected && shared.expired);
  refused = () => true;
  await assert.rejects(shared.getPromise());
  assert.ok(shared.needsRefresh() && shared.accessKeyId.startsWith("K"));
}

server.listen(0, "127.0.0.1", () =>
  check().then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  ),
);
