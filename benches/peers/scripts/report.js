// Prints for both scripts what the Rust programs print too: the peak memory, the time of a get, and
// the keys of single fetches.
'use strict';
const fs = require('fs');
const readline = require('readline');

exports.peak = () => {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  console.log(`peak ${/^VmHWM:\s*(\d+)/m.exec(status)[1]}`);
  // Open connections would keep the process running for seconds.
  process.exit(0);
};

exports.cached = async (get) => {
  const start = process.hrtime.bigint();
  let gets = 0;
  let now;
  do {
    for (let i = 0; i < 64; i += 1) await get();
    gets += 64;
    now = process.hrtime.bigint();
  } while (now - start < 60_000_000n);
  console.log(`ns ${(Number(now - start) / gets).toFixed(1)}`);
};

// Makes a fetch for each line of the input. At the line `restart`, `fetch` must start again with
// the identity only.
exports.steps = async (fetch) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(`key ${await fetch(line === 'restart')}`);
  }
};
