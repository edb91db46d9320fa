import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from './problems.js';

const LOOK_MILLISECONDS = 10;
/** After this time of a drain, bodies that are still being received are refused. */
const BODIES_MILLISECONDS = 5000;
/** After this time of a drain, uploads no longer wait for acknowledgements. */
const COPIES_MILLISECONDS = 10_000;
/** The time after which a drain ends, even with unanswered requests. */
export const LONGEST_DRAIN_MILLISECONDS = 12_000;

/** Counts the uploads and deletions that are not answered yet. A drain waits for them and refuses new ones. */
export class RequestsUnderWay {
  private count = 0;
  private refusesBodies = false;
  private draining: Promise<void> | undefined;
  private readonly refusers: ((problem: Problem) => void)[] = [];

  /** @param stopWaitingForCopies settles the uploads that wait for acknowledgements */
  constructor(private readonly stopWaitingForCopies: () => void) {}

  /** As `enter`, as a hook with a callback: an async hook costs each upload a few microseconds more. */
  readonly available = (_request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const problem = this.problem;
    if (!problem) this.add(reply);
    done(problem);
  };

  private readonly answered = (): void => {
    this.count--;
  };

  get isStopping(): boolean {
    return this.draining !== undefined;
  }

  /** Whether the drain refuses bodies; then the rest of a refused body is not read. */
  get isRefusingBodies(): boolean {
    return this.refusesBodies;
  }

  /** Calls `refuse` once a drain has waited too long for the bodies that are being received. */
  onRefuseBodies(refuse: (problem: Problem) => void): void {
    this.refusers.push(refuse);
  }

  /** Counts a request until the returned function is called, once. Throws a Problem (`unavailable`) if the node is stopping. */
  begin(): () => void {
    const problem = this.problem;
    if (problem) throw problem;
    this.count++;
    return this.answered;
  }

  /**
   * Counts a request until its connection closes or its answer is sent. Throws a Problem (`unavailable`) if the node is
   * stopping.
   */
  enter(reply: FastifyReply): void {
    const problem = this.problem;
    if (problem) throw problem;
    this.add(reply);
  }

  /**
   * Refuses new requests; resolves when the counted ones are answered, at the latest after LONGEST_DRAIN_MILLISECONDS.
   * Refuses bodies that take too long, and stops waiting for copies that take too long.
   */
  drain(): Promise<void> {
    this.draining ??= this.waitForAnswers();
    return this.draining;
  }

  private get problem(): Problem | undefined {
    return this.isStopping ? stopping() : undefined;
  }

  private add(reply: FastifyReply): void {
    this.count++;
    reply.raw.once('close', this.answered);
  }

  private async waitForAnswers(): Promise<void> {
    const started = performance.now();
    for (let waited = 0; this.count > 0 && waited < LONGEST_DRAIN_MILLISECONDS; waited = performance.now() - started) {
      if (waited > BODIES_MILLISECONDS) {
        this.refusesBodies = true;
        for (const refuse of this.refusers) refuse(stopping());
      }
      if (waited > COPIES_MILLISECONDS) this.stopWaitingForCopies();
      await sleep(LOOK_MILLISECONDS);
    }
  }
}

function stopping(): Problem {
  return new Problem('unavailable', 'This node is stopping; try again in a few seconds.');
}
