import type { Logger } from 'pino';
import type { StoredFile } from '../store/records.js';
import type { Deleted } from './forward-deletion.js';
import type { Metrics } from './metrics.js';
import { Problem } from './problems.js';

/** Counts and logs uploads and deletions, by whichever protocol they come. */
export class Observer {
  constructor(
    readonly metrics: Metrics,
    private readonly log: Logger,
  ) {}

  /**
   * Runs an upload, and resolves with its answer. Undefined for `files`: the upload was forwarded to another node, which counts it.
   * @param context for the log, such as the id of the request
   */
  async upload<Answer>(
    context: object,
    run: () => Promise<{ files: readonly StoredFile[] | undefined; answer: Answer }>,
  ): Promise<Answer> {
    const { metrics, log } = this;
    const started = performance.now();
    try {
      const { files, answer } = await run();
      if (!files) {
        metrics.uploads.inc({ result: 'passed-on' });
        return answer;
      }
      const milliseconds = performance.now() - started;
      const bytes = files.reduce((sum, file) => sum + file.size, 0);
      metrics.uploads.inc({ result: 'stored' });
      metrics.uploadedBytes.inc(bytes);
      metrics.uploadSeconds.observe(milliseconds / 1000);
      const ids = files.length === 1 ? { id: files[0]?.id } : { ids: files.map((file) => file.id) };
      log.info({ ...context, ...ids, bytes, milliseconds: Math.round(milliseconds) }, 'stored');
      return answer;
    } catch (error) {
      metrics.uploads.inc({ result: 'refused' });
      throw error;
    }
  }

  /** Runs a deletion, and resolves with its outcome. */
  async deletion(context: object, id: string, run: () => Promise<Deleted>): Promise<Deleted> {
    const { metrics, log } = this;
    let deleted: Deleted;
    try {
      deleted = await run();
    } catch (error) {
      if (error instanceof Problem && error.problem === 'not-found') metrics.deletions.inc({ result: 'not-found' });
      throw error;
    }
    const result = deleted.copies < deleted.wanted ? 'accepted' : 'deleted';
    metrics.deletions.inc({ result });
    if (result === 'deleted') log.info({ ...context, id }, 'deleted');
    else log.warn({ ...context, id }, 'deleted; fewer nodes than promised know of it so far');
    return deleted;
  }
}
