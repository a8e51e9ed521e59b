// `npm run bench`: what Sluice costs, beside others that do less. See docs/performance.md.

import { cannedPart } from './canned-part.ts'
import { Programs } from './programs.ts'
import { randomFrom } from './statistics.ts'

const programs = await Programs.create()
try {
  const seed = 1
  const r = await cannedPart(programs, {
    rounds: 2,
    seconds: 2,
    threads: [8, 64],
    seed,
    random: randomFrom(seed),
    progress: (l) => console.error(l),
    nodeArgs: [],
    idleClients: 1000,
  })
  for (const s of r.samples)
    console.log(
      s.work,
      s.threads,
      s.path,
      Math.round(s.statements / s.seconds),
      s.p50Ms.toFixed(3),
      s.p99Ms.toFixed(2),
      s.cpu && (((s.cpu.userSeconds + s.cpu.systemSeconds) / s.statements) * 1e6).toFixed(1),
      s.cpu && ((s.cpu.userSeconds / s.statements) * 1e6).toFixed(1),
    )
  console.log(r.idle)
} finally {
  await programs.stop()
}
