/** A cluster of Slurm on this host, for a test: a controller and two nodes of one CPU. Debian's slurm-wlm and munge. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

export interface Cluster {
  /** Environment in which sbatch and squeue find it. */
  readonly env: NodeJS.ProcessEnv;
  /** Kills a node's daemon and what runs there, as if its power went. */
  killNode(name: 'n1' | 'n2'): void;
  stop(): void;
}

const PORTS = { controller: 26817, n1: 26821, n2: 26822 };

/** Starts the daemons in `folder` and waits until both nodes are idle. */
export async function startCluster(folder: string): Promise<Cluster> {
  if (!existsSync('/usr/sbin/slurmctld')) throw new Error('needs Slurm: apt-get install slurm-wlm munge (as root)');
  for (const name of ['state', 'spool-n1', 'spool-n2']) mkdirSync(join(folder, name));
  const file = join(folder, 'slurm.conf');
  const node = (name: 'n1' | 'n2'): string =>
    `NodeName=${name} NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${PORTS[name]} CPUs=1 RealMemory=1000 State=UNKNOWN`;
  const lines = [
    'ClusterName=test',
    'SlurmctldHost=localhost(127.0.0.1)',
    'SlurmUser=root',
    'SlurmdUser=root',
    'AuthType=auth/none',
    'CredType=cred/none',
    `SlurmctldPort=${PORTS.controller}`,
    `StateSaveLocation=${folder}/state`,
    `SlurmdSpoolDir=${folder}/spool-%n`,
    `SlurmctldPidFile=${folder}/controller.pid`,
    `SlurmdPidFile=${folder}/node-%n.pid`,
    'ProctrackType=proctrack/linuxproc',
    'TaskPlugin=task/none',
    'JobAcctGatherType=jobacct_gather/none',
    'AccountingStorageType=accounting_storage/none',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core',
    'SlurmdParameters=config_overrides',
    'ReturnToService=2',
    'SlurmdTimeout=15',
    node('n1'),
    node('n2'),
    'PartitionName=sweep Nodes=ALL Default=YES MaxTime=INFINITE State=UP',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  writeFileSync(join(folder, 'cgroup.conf'), 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n');
  const env = { ...process.env, SLURM_CONF: file };
  const daemons: ChildProcess[] = [];
  const start = (program: string, ...args: string[]): ChildProcess => {
    const child = spawn(program, ['-D', ...args, '-f', file], { env, stdio: 'ignore', detached: true });
    daemons.push(child);
    return child;
  };
  const kill = (child: ChildProcess): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // It is gone.
    }
  };
  start('slurmctld', '-c');
  const nodes = { n1: start('slurmd', '-N', 'n1'), n2: start('slurmd', '-N', 'n2') };
  const stop = (): void => {
    for (const child of daemons) kill(child);
  };
  for (let tries = 0; ; tries++) {
    try {
      const states = execFileSync('sinfo', ['-h', '-N', '-o', '%t'], { env, encoding: 'utf8', stdio: 'pipe' });
      if (states.trim().split('\n').join() === 'idle,idle') break;
    } catch {
      // The controller does not answer yet.
    }
    if (tries === 200) {
      stop();
      throw new Error('the nodes of Slurm did not become idle within 20 s');
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    env,
    stop,
    killNode(name) {
      kill(nodes[name]);
      for (const pid of tasksOf(name)) process.kill(pid, 'SIGKILL');
    },
  };
}

/** Processes that run on behalf of a node: what they were started with says so. */
function tasksOf(name: string): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const words = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      return words.includes(`SLURMD_NODENAME=${name}`) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}
