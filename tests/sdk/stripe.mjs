// One line of JSON in per request, one out: {secret, body} -> {header}, as Stripe's own
// library makes it for tests of receivers.
import { createInterface } from "node:readline";
import Stripe from "stripe";

const stripe = new Stripe("sk_test_none");
for await (const line of createInterface({ input: process.stdin })) {
  const { secret, body } = JSON.parse(line);
  console.log(JSON.stringify({
    header: stripe.webhooks.generateTestHeaderString({ payload: body, secret }),
  }));
}
