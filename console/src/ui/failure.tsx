import type { JSX } from 'preact';
import { explanation } from '../format';
import type { Failure } from '../http/failure';
import { Icon } from './icons';

/** Shows a failure: an explanation in the selected language, and the server's `detail`. */
export function FailureNotice({ failure }: { failure: Failure }): JSX.Element {
  return (
    <p class="notice bad" role="alert">
      <Icon name="warning" />
      <span>
        {explanation(failure)} {failure.detail && <small lang="en">{failure.detail}</small>}
      </span>
    </p>
  );
}
