import { FETCH, READ, type TraceWriter, WRITE } from '../writer.ts';

const NONE = -1;

/**
 * Accesses of the only agent of a recording. Most of them go on in a run that is open: those are counted here and told to
 * the writer in one call, so that the trace is the same and the writer is asked once a record.
 */
export class Runs {
  private fetchVpn = NONE;
  private dataVpn = NONE;
  private dataWrites = false;
  private fetches = 0;
  private datas = 0;
  /** How many more the last record has room for; 0 where it has no run of that kind. */
  private fetchRoom = 0;
  private dataRoom = 0;

  constructor(
    private readonly out: TraceWriter,
    private readonly agent: number,
  ) {}

  /** Like `TraceWriter.touch`. */
  touch(kind: number, vpn: number, more: number): void {
    if (more === 0 && vpn === (kind === FETCH ? this.fetchVpn : this.dataVpn) && this.again(kind)) return;
    this.start(kind, vpn, more);
  }

  /** One more access of the page that the last fetch, or the last other access, was of; false where no run can go on. */
  private again(kind: number): boolean {
    if (kind === FETCH) {
      if (this.fetches >= this.fetchRoom) return false;
      this.fetches++;
      return true;
    }
    if (this.datas >= this.dataRoom || (kind === WRITE && !this.dataWrites)) return false;
    this.datas++;
    return true;
  }

  /** Before anybody else writes: what was counted, and no run that goes on. */
  settle(): void {
    if (this.fetches + this.datas > 0) this.out.goOn(this.agent, this.fetches, this.datas);
    this.fetches = this.datas = this.fetchRoom = this.dataRoom = 0;
  }

  private start(kind: number, vpn: number, more: number): void {
    const { out, agent } = this;
    this.settle();
    out.touch(agent, kind, vpn, more);
    if (kind === FETCH) this.fetchVpn = more === 0 ? vpn : NONE;
    else {
      this.dataVpn = more === 0 ? vpn : NONE;
      this.dataWrites = kind === WRITE;
    }
    // A new chunk ends the run of the other kind.
    this.fetchRoom = out.room(agent, FETCH);
    this.dataRoom = out.room(agent, READ);
  }
}
