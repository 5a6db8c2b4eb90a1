// Iterable's own schema (zod) over bodies: {"bodies": [...]} in, [[fault, ...], ...] out.
import { TrackEventParamsSchema } from '@iterable/api'

let text = ''
for await (const chunk of process.stdin) text += chunk
const faults = JSON.parse(text).bodies.map((body) => {
  const read = TrackEventParamsSchema.safeParse(body)
  if (!read.success) return read.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`)
  return Object.keys(body)
    .filter((name) => !(name in read.data))
    .map((name) => `${name}: not in the vendor's schema`)
})
process.stdout.write(JSON.stringify(faults))
process.exit(0)
