import type { JSX, TargetedEvent } from 'preact';
import { useRef } from 'preact/hooks';
import { size } from '../../format';
import { texts } from '../../i18n';
import { serverSettings } from '../../settings';
import { Icon } from '../../ui/icons';
import { type Chosen, fromInput } from '../../upload/chosen';

/** Supported by all browsers, but missing in Preact's types. */
const WHOLE_FOLDERS = { webkitdirectory: true };

interface Properties {
  /** Whether the list has rows, so that the area is shown small. */
  isSmall: boolean;
  take: (chosen: Chosen[]) => void;
}

/** The area for dropping and selecting files. */
export function DropArea({ isSmall, take }: Properties): JSX.Element {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const text = texts.value.upload;
  const limit = serverSettings.value?.maxFileSize;
  const chosen = ({ currentTarget }: TargetedEvent<HTMLInputElement>) => {
    take(fromInput(currentTarget.files ?? new DataTransfer().files));
    currentTarget.value = ''; // so that selecting the same file again is a change
  };
  return (
    <div class={isSmall ? 'drop small' : 'drop'}>
      <span class="drop-icon">
        <Icon name="upload" />
      </span>
      <div class="drop-words">
        <p class="drop-title">
          <span class="when-idle">{text.drop}</span>
          <span class="when-dropping">{text.dropNow}</span>
        </p>
        <p class="hint drop-paste">{text.paste}</p>
      </div>
      <div class="buttons">
        <button type="button" class="primary" onClick={() => files.current?.click()}>
          <Icon name="file" />
          {text.files}
        </button>
        <button type="button" onClick={() => folder.current?.click()}>
          <Icon name="folder" />
          {text.folder}
        </button>
      </div>
      {limit !== undefined && <p class="hint drop-limit">{text.limit(size(limit))}</p>}
      <input ref={files} class="choose-files" type="file" multiple hidden onChange={chosen} />
      <input ref={folder} class="choose-folder" type="file" {...WHOLE_FOLDERS} multiple hidden onChange={chosen} />
    </div>
  );
}
