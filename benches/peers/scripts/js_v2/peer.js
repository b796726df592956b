// The job with the AWS SDK for JavaScript 2: `peer.js URL CA_FILE [THREADS]`. The authority comes
// in by NODE_EXTRA_CA_CERTS.
'use strict';
const CognitoIdentityCredentials = require('aws-sdk/global').CognitoIdentityCredentials;
const report = require('./report');

const [url, , threads] = process.argv.slice(2);
const credentials = new CognitoIdentityCredentials(
  { IdentityPoolId: 'us-east-1:12345678-dead-beef-cafe-123456790ab0' },
  { region: 'us-east-1', endpoint: url },
);

async function main() {
  await credentials.getPromise();
  console.log(`key ${credentials.accessKeyId}`);
  if (threads) await report.cached(() => credentials.getPromise());
  report.peak();
}

main();
