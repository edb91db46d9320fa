import type { JSX } from 'preact';
import { explanation } from '../format';
import type { Failure } from '../http/failure';
import { Icon } from './icons';

/** Says what went wrong: a sentence of ours, and the server's own words. */
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
