// Reads one received request a line, {headers, body}, with the official CloudEvents SDK,
// which validates it by the schema of the specification; answers what it understood.
import { HTTP } from "cloudevents";
import readline from "node:readline";

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { headers, body } = JSON.parse(line);
  try {
    if (!HTTP.isEvent({ headers, body })) throw new Error("the SDK sees no event");
    const event = HTTP.toEvent({ headers, body });
    event.validate();
    console.log(JSON.stringify({ ok: true, event: event.toJSON() }));
  } catch (error) {
    console.log(JSON.stringify({ ok: false, error: String(error), details: error.errors }));
  }
}
