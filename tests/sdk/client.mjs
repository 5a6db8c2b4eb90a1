// One line of JSON in per request, one out: {lib, op, secret, id, timestamp, headers, body}.
// sign: what the library puts on a message; verify: what it says of ours.
// svix is an ES module; Debian 12's node 18 can import one, not require it.
import { createInterface } from "node:readline";
import standardwebhooks from "standardwebhooks";
import * as svix from "svix";

const libraries = { standardwebhooks: standardwebhooks.Webhook, svix: svix.Webhook };
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const ask = JSON.parse(line);
  const webhook = new libraries[ask.lib](ask.secret);
  let answer;
  try {
    if (ask.op === "sign") {
      answer = { signature: webhook.sign(ask.id, new Date(ask.timestamp * 1000), ask.body) };
    } else {
      webhook.verify(ask.body, ask.headers);
      answer = { valid: true };
    }
  } catch (error) {
    answer = { valid: false, error: String(error.message) };
  }
  console.log(JSON.stringify(answer));
});
