// Gets the credentials with the AWS SDK for JavaScript 3: `peer.js URL CA_FILE [THREADS | steps]`.
// NODE_EXTRA_CA_CERTS sets the certificate authority. The provider has no cache, so the cached get
// is measured as in the SDK's clients, which wrap each provider in this way.
'use strict';
const { fromCognitoIdentity, fromCognitoIdentityPool } = require('@aws-sdk/credential-providers');
const report = require('./report');

const [url, , extra] = process.argv.slice(2);
const clientConfig = { region: 'us-east-1', endpoint: url };
let provider = fromCognitoIdentityPool({
  identityPoolId: 'us-east-1:12345678-dead-beef-cafe-123456790ab0',
  clientConfig,
});

async function main() {
  if (extra === 'steps') {
    let identityId;
    await report.steps(async (restart) => {
      if (restart) provider = fromCognitoIdentity({ identityId, clientConfig });
      const set = await provider();
      identityId = set.identityId;
      return set.accessKeyId;
    });
    return;
  }
  if (extra) {
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
