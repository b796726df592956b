// The job with the AWS SDK for JavaScript 3: `peer.js URL CA_FILE [THREADS]`. The authority comes
// in by NODE_EXTRA_CA_CERTS. The provider keeps nothing, so the cached get is that of the clients,
// which wrap each provider like this.
'use strict';
const { fromCognitoIdentityPool } = require('@aws-sdk/credential-providers');
const report = require('./report');

const [url, , threads] = process.argv.slice(2);
const provider = fromCognitoIdentityPool({
  identityPoolId: 'us-east-1:12345678-dead-beef-cafe-123456790ab0',
  clientConfig: { region: 'us-east-1', endpoint: url },
});

async function main() {
  if (threads) {
    const core = require('@smithy/core');
    const get = core.memoizeIdentityProvider(
      provider,
      core.isIdentityExpired,
      core.doesIdentityRequireRefresh,
    );
    console.log(`key ${(await get()).accessKeyId}`);
    await report.cached(get);
  } else {
    console.log(`key ${(await provider()).accessKeyId}`);
  }
  report.peak();
}

main();
