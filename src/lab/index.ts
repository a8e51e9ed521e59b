// Real database servers on this machine, for the demo, the drill, tests and benchmarks. What others may use.

export {
  AURORA_SCRIPT,
  AuroraCluster,
  type AuroraScript,
  type AuroraSettings,
  type FailoverStep,
  startAurora,
} from './aurora.ts'
export { type Audit, DrillLoad, type Failure, tableSql, type Work } from './drill-load.ts'
export { type EngineName, LAB_USERS, type LabUser } from './engine.ts'
export { type FailingCluster, type FailoverKind, startFailing } from './failovers.ts'
export { type ClusterSettings, LabCluster, startCluster } from './lab-cluster.ts'
export { LabServer } from './lab-server.ts'
export { cacheFolder, freePort, LabError, type Progress, ServerUnavailable, until } from './machine.ts'
export { type ToolName, tool } from './packages.ts'
export { RunningCluster } from './running-cluster.ts'
export { type LabRole, RunningServer, type SeenStatement } from './running-server.ts'
