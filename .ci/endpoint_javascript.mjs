// Uses the endpoint with the AWS SDK for JavaScript: with its default credential chain, and with
// `fromHttp`. Asks STS for its identity every few seconds, until the file in the argument exists.
import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { fromHttp } from "@aws-sdk/credential-provider-http";

const end = process.argv[2];
const clients = [
  new STSClient({ maxAttempts: 1 }),
  new STSClient({ maxAttempts: 1, credentials: fromHttp() }),
];
while (!existsSync(end)) {
  for (const client of clients) {
    const answer = await client.send(new GetCallerIdentityCommand({}));
    console.log(answer.Arn);
  }
  await setTimeout(3000);
}
