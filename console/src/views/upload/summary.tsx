import type { JSX } from 'preact';
import { byteRate, count, duration, size } from '../../format';
import { texts } from '../../i18n';
import { Icon } from '../../ui/icons';
import { clearFinished, retryFailed } from '../../upload/queue';
import type { Totals } from '../../upload/totals';

/** The sums above the list. */
export function Summary({ totals }: { totals: Totals }): JSX.Element {
  const text = texts.value.upload;
  const { files, done, failed, bytes, bytesDone, speed } = totals;
  return (
    <div class="summary">
      <div class="summary-words">
        <p class="summary-done">{text.done(count(done), count(files))}</p>
        {failed > 0 && (
          <p class="bad">
            <Icon name="warning" />
            {text.failed(count(failed))}
          </p>
        )}
        <p class="hint figures">
          {text.bytes(size(bytesDone), size(bytes))}
          {speed > 0 && <> · {byteRate(speed)}</>}
          {speed > 0 && <> · {text.left(duration((bytes - bytesDone) / speed))}</>}
        </p>
      </div>
      <progress
        aria-label={text.progress}
        max={Math.max(bytes, 1)}
        value={bytes === 0 ? Number(done > 0) : bytesDone}
      />
      <div class="buttons">
        <button type="button" class="small" disabled={failed === 0} onClick={retryFailed}>
          <Icon name="retry" />
          {text.retryFailed}
        </button>
        <button type="button" class="small" disabled={done === 0} onClick={clearFinished}>
          <Icon name="unlist" />
          {text.clearFinished}
        </button>
      </div>
    </div>
  );
}
