import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { groups, loadGroups, needsLink, pictureAddressOf, pictureQuery } from '../links';

/** A node that makes many pictures answers 503; it is asked again after this time, and this often at most. */
const AGAIN_MILLISECONDS = 2000;
const ATTEMPTS = 3;

/** IDs of files of which there are no pictures, so that nobody asks again for each time that they are scrolled into view. */
const without = new Set<string>();

interface Properties {
  id: string;
  class: string;
  alt: string;
  /** What is shown until there is a picture. */
  children: ComponentChildren;
  /** What is shown if there is none; without it `children`. */
  otherwise?: ComponentChildren;
  /** How often the server is asked at most. */
  attempts?: number;
}

/** The server's small picture of a file. */
export function Picture({
  id,
  class: className,
  alt,
  children,
  otherwise = children,
  attempts = ATTEMPTS,
}: Properties): JSX.Element {
  const address = useSignal<string | undefined>(undefined);
  const attempt = useSignal(0);
  const isKnown = groups.value !== undefined;
  const isMade = isKnown && groups.value?.pictures !== false && !without.has(id);
  const isPrivate = needsLink(id);
  const turn = attempt.value;
  useEffect(() => {
    if (!isKnown) void loadGroups();
  }, [isKnown]);
  useEffect(() => {
    if (!isMade) return undefined;
    let isOver = false;
    const show = (query: string) => {
      if (!isOver) address.value = pictureAddressOf(id, query);
    };
    if (isPrivate)
      pictureQuery(id).then(show, () => {}); // `linkTrouble` says why not
    else show('');
    return () => {
      isOver = true;
    };
  }, [id, isMade, isPrivate, address]);
  useEffect(() => {
    if (turn === 0 || turn >= attempts) return undefined;
    const before = address.peek();
    address.value = undefined;
    const timer = window.setTimeout(() => {
      address.value = before;
    }, AGAIN_MILLISECONDS * turn);
    return () => window.clearTimeout(timer);
  }, [turn, attempts, address]);
  if (isKnown && !isMade) return <>{otherwise}</>;
  if (address.value === undefined) return <>{children}</>;
  return (
    <img
      class={className}
      src={address.value}
      alt={alt}
      decoding="async"
      draggable={false}
      onError={() => {
        if (attempt.peek() + 1 >= attempts) without.add(id);
        attempt.value++;
        if (attempt.peek() >= attempts) address.value = undefined;
      }}
    />
  );
}
