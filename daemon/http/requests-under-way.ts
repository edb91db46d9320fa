import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { refuseBodies } from './body.js';
import { Problem } from './problems.js';

const LOOK_MILLISECONDS = 10;
/** When the node stops, bodies that are coming may come for so long, */
const BODIES_MILLISECONDS = 5000;
/** copies may be waited for so long, */
const COPIES_MILLISECONDS = 10_000;
/** and then there is so much time for the answers. */
export const LONGEST_DRAIN_MILLISECONDS = 12_000;

/** The requests that change something and are not answered yet. When the node stops, they are let finish and others refused. */
export class RequestsUnderWay {
  private count = 0;
  private refusesBodies = false;
  private draining: Promise<void> | undefined;

  /** As a hook, in the form with a callback: an async one costs each upload a few microseconds more. */
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

  /** Whether what still comes of a refused body is not worth waiting for. */
  get isInHurry(): boolean {
    return this.refusesBodies;
  }

  /** Counts a request until it is answered. Throws a Problem when the node is stopping. */
  enter(reply: FastifyReply): void {
    const problem = this.problem;
    if (problem) throw problem;
    this.add(reply);
  }

  /**
   * Refuses requests from now on; resolves when those under way are answered. Bodies that do not come to their end soon are
   * refused, too, and so are uploads whose copies are not made soon.
   * @param stopWaitingForCopies settles the uploads that wait for acknowledgements
   */
  drain(stopWaitingForCopies: () => void): Promise<void> {
    this.draining ??= this.waitForAnswers(stopWaitingForCopies);
    return this.draining;
  }

  private get problem(): Problem | undefined {
    return this.isStopping ? stopping() : undefined;
  }

  private add(reply: FastifyReply): void {
    this.count++;
    reply.raw.once('close', this.answered);
  }

  private async waitForAnswers(giveUpCopies: () => void): Promise<void> {
    const started = performance.now();
    for (let waited = 0; this.count > 0 && waited < LONGEST_DRAIN_MILLISECONDS; waited = performance.now() - started) {
      if (waited > BODIES_MILLISECONDS) {
        this.refusesBodies = true;
        refuseBodies(stopping());
      }
      if (waited > COPIES_MILLISECONDS) giveUpCopies();
      await sleep(LOOK_MILLISECONDS);
    }
  }
}

function stopping(): Problem {
  return new Problem('unavailable', 'This node is stopping; try again in a few seconds.');
}
