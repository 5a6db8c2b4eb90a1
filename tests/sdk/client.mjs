// One line of JSON in per request, one out: {lib, op, secret, id, timestamp, headers, body}.
// sign: what the library puts on a message; verify: what it says of ours.
// No official library verifies v1a (standard-webhooks issue 124), so lib "ed25519" does it with
// node:crypto as the specification says, `secret` being the public key.
// svix is an ES module; Debian 12's node 18 can import one, not require it.
import { createPublicKey, verify } from "node:crypto";
import { createInterface } from "node:readline";
import standardwebhooks from "standardwebhooks";
import * as svix from "svix";

const SPKI_OF_ED25519 = Buffer.from("302a300506032b6570032100", "hex");

class AsymmetricWebhook {
  constructor(text) {
    const raw = Buffer.from(text.replace(/^whpk_/, ""), "base64");
    if (!text.startsWith("whpk_") || raw.length !== 32) throw new Error("not a public key");
    this.key = createPublicKey({ key: Buffer.concat([SPKI_OF_ED25519, raw]), format: "der", type: "spki" });
  }

  verify(body, headers) {
    const age = Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"]));
    if (!(age <= 300)) throw new Error("too old or too new");
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const matches = headers["webhook-signature"].split(" ").some((word) => {
      const [version, signature] = word.split(",");
      return version === "v1a" && verify(null, signed, this.key, Buffer.from(signature, "base64"));
    });
    if (!matches) throw new Error("No matching signature found");
  }
}

const libraries = {
  standardwebhooks: standardwebhooks.Webhook,
  svix: svix.Webhook,
  ed25519: AsymmetricWebhook,
};
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const ask = JSON.parse(line);
  let answer;
  try {
    const webhook = new libraries[ask.lib](ask.secret);
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
