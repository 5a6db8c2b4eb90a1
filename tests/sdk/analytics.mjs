// The official Node SDK: the calls of one JSON argument, then a flush. Prints what
// became of each event that was given up.
import { Analytics } from "@segment/analytics-node";

const { host, writeKey, calls, retries } = JSON.parse(process.argv[2]);
const analytics = new Analytics({ host, writeKey, maxRetries: retries ?? 1, flushInterval: 100 });
const failed = [];
analytics.on("error", (error) => failed.push(String(error.reason ?? error.code)));
for (const [name, ...args] of calls) {
  analytics[name](...args.map((arg) => arg.timestamp ? { ...arg, timestamp: new Date(arg.timestamp) } : arg));
}
await analytics.closeAndFlush({ timeout: 10000 });
console.log(JSON.stringify(failed));
