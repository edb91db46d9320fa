import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { Icon } from '../../ui/icons';
import { Picture } from '../../ui/picture';
import { isPicture } from '../../upload/extension';
import type { Item } from '../../upload/item';

/** Largest picture that is decoded for a thumbnail, in bytes. */
const LARGEST_BYTES = 30e6;

/** The thumbnail of a stored picture: from the local file, or, after a reload, from the server. */
export function Thumbnail({ item }: { item: Item }): JSX.Element {
  const phase = item.phase.value;
  const address = useSignal<string | undefined>(undefined);
  const id = phase.name === 'done' && item.size <= LARGEST_BYTES && isPicture(phase.stored.id) ? phase.stored.id : '';
  const { file } = item;
  useEffect(() => {
    if (id === '') return undefined;
    if (!file) return undefined;
    const own = URL.createObjectURL(file);
    address.value = own;
    return () => URL.revokeObjectURL(own);
  }, [id, file, address]);
  if (id !== '' && !file) {
    return (
      <span class="thumbnail">
        <Picture id={id} class="" alt="">
          <Icon name="file" />
        </Picture>
      </span>
    );
  }
  return (
    <span class="thumbnail">
      {address.value === undefined ? (
        <Icon name="file" />
      ) : (
        <img
          src={address.value}
          alt=""
          loading="lazy"
          decoding="async"
          onError={() => {
            address.value = undefined;
          }}
        />
      )}
    </span>
  );
}
