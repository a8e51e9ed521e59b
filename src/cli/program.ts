// The commands and their options. What a command does is in its own file, loaded only when it is asked for.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { FailoverKind } from '../lab/index.ts'
import type { ExitCode, Output } from './output.ts'

interface ConfigOption {
  readonly config?: string
}

interface StartFlags extends ConfigOption {
  readonly inherit?: true
}

interface CheckFlags extends ConfigOption {
  readonly offline?: true
}

interface ExplainFlags extends ConfigOption {
  readonly json?: true
  readonly listener?: string
  readonly user?: string
  readonly schema?: string
}

interface DemoFlags {
  readonly once?: true
  readonly engine?: 'mysql' | 'mariadb'
}

interface DrillFlags extends ConfigOption {
  readonly engine?: 'mysql' | 'mariadb'
  readonly aurora?: true
  readonly kind?: FailoverKind
  readonly clients: number
  readonly rounds: number
  readonly command?: string
  readonly schema?: string
  readonly json?: true
}

const WHENCE = `
Settings come from --config FILE, else $SLUICE_CONFIG, else sluice.yaml in the working folder, else from
SLUICE_CLUSTER=host:port[,…] SLUICE_USER=… SLUICE_PASSWORD=… in the environment.

Exit codes: 0 all is well, 1 it did not work, 2 the arguments make no sense.`

/** Runs the command that `args` name. Gives the exit code once it has ended. */
export async function run(args: readonly string[], version: string, output: Output): Promise<ExitCode> {
  let exitCode: ExitCode = 0
  const program = new Command('sluice')
    .description('A read/write-splitting SQL proxy for Aurora, MySQL and MariaDB clusters.')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print help')
    .helpCommand(false)
    .showHelpAfterError('(sluice --help tells what there is)')
    .addHelpText('after', WHENCE)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.print(text.replace(/\n$/, '')),
      writeErr: (text) => output.error(text.replace(/\n$/, '')),
    })
  const command = (name: string, what: string) =>
    program.command(name).description(what).helpOption('--help', 'print help')
  const configured = (name: string, what: string) => command(name, what).option('--config <file>', 'the settings')

  configured('start', 'run; SIGHUP or a change of the file reloads, SIGUSR2 replaces, SIGTERM drains')
    .addOption(new Option('--inherit', 'take the sockets of the process that starts this one').hideHelp())
    .action(async ({ config, inherit }: StartFlags) => {
      const { start } = await import('./start.ts')
      exitCode = await start({ file: config ?? null, inherit: inherit === true }, output)
    })
  program.command('worker', { hidden: true }).action(async () => {
    const { serveAsWorker } = await import('../workers/worker.ts')
    await serveAsWorker()
  })
  configured('check', 'validate the settings, and tell what servers they lead to')
    .option('--offline', 'the settings only; ask no server')
    .action(async ({ config, offline }: CheckFlags) => {
      const { check } = await import('./check.ts')
      exitCode = await check({ file: config ?? null, offline: offline === true }, output)
    })
  configured('explain', 'what a statement does, where it would go, and why')
    .argument('<sql>', 'the statement; - reads it from standard input')
    .option('--json', 'for machines')
    .option('--listener <name>', 'as if it came in there; the first one by default')
    .option('--user <name>', 'as if it were this user')
    .option('--schema <name>', 'as if this were the current schema')
    .action(async (sql: string, { config, ...flags }: ExplainFlags) => {
      const { explain } = await import('./explain.ts')
      exitCode = explain(sql, { file: config ?? null, ...flags }, output)
    })
  command('demo', 'the tour: a real cluster, a live workload, a change of the writer')
    .option('--once', 'do the tour and exit: 0, or 1 if a promise was broken')
    .addOption(new Option('--engine <engine>', 'the servers to use').choices(['mysql', 'mariadb']))
    .action(async ({ once, engine }: DemoFlags) => {
      const { demo } = await import('./demo.ts')
      exitCode = await demo({ once: once === true, engine: engine ?? null }, output)
    })
  command('drill', 'a failover under load, and its timeline; exit 0, or 1 if a promise was broken')
    .addOption(new Option('--engine <engine>', 'the servers of the lab').choices(['mysql', 'mariadb']))
    .option('--aurora', 'behind the face of Aurora')
    .addOption(
      new Option('--kind <kind>', 'how the writer of the lab is lost').choices(['kill', 'switchover', 'freeze']),
    )
    .option('--clients <number>', 'how many clients work', whole, 32)
    .option('--rounds <number>', 'how many failovers', whole, 1)
    .option('--config <file>', 'a cluster of yours instead of the lab; with --command and --schema')
    .option('--command <command>', 'what makes that cluster fail over, for the shell')
    .option('--schema <name>', 'where a table is made there, which is all that the drill writes to')
    .option('--json', 'for machines')
    .action(async (flags: DrillFlags) => {
      const { drill, misuseOf } = await import('./drill.ts')
      const options = {
        engine: flags.engine ?? null,
        aurora: flags.aurora === true,
        kind: flags.kind ?? null,
        clients: flags.clients,
        rounds: flags.rounds,
        file: flags.config ?? null,
        command: flags.command ?? null,
        schema: flags.schema ?? null,
        json: flags.json === true,
      }
      const misuse = misuseOf(options)
      if (misuse !== null) return program.error(`error: ${misuse}`)
      exitCode = await drill(options, output)
    })

  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? 0 : 2
  }
  return exitCode
}

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1 on')
  return value
}
