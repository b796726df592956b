// Gets the credentials with the AWS SDK for JavaScript 2: `peer.js URL CA_FILE [THREADS | steps]`.
// NODE_EXTRA_CA_CERTS sets the certificate authority.
'use strict';
const CognitoIdentityCredentials = require('aws-sdk/global').CognitoIdentityCredentials;
const report = require('./report');

const [url, , extra] = process.argv.slice(2);
const start = (parameters) =>
  new CognitoIdentityCredentials(
    { IdentityPoolId: 'us-east-1:12345678-dead-beef-cafe-123456790ab0', ...parameters },
    { region: 'us-east-1', endpoint: url },
  );
let credentials = start();

async function main() {
  if (extra === 'steps') {
    await report.steps(async (restart) => {
      if (restart) credentials = start({ IdentityId: credentials.identityId });
      await credentials.refreshPromise();
      return credentials.accessKeyId;
    });
    return;
  }
  await credentials.getPromise();
  console.log(`key ${credentials.accessKeyId}`);
  if (extra) await report.cached(() => credentials.getPromise());
  report.peak();
}

main();
