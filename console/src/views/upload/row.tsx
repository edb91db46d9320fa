import type { JSX } from 'preact';
import { byteRate, duration, explanation, percent, size } from '../../format';
import { texts } from '../../i18n';
import { loadGroups, needsLink, signedAddressOf } from '../../links';
import { fileRoute } from '../../route';
import { CopyButton } from '../../ui/copy-button';
import { Icon, type IconName } from '../../ui/icons';
import type { Item, Phase, Stored } from '../../upload/item';
import type { Progress } from '../../upload/progress';
import { pause, remove, start } from '../../upload/queue';
import { Thumbnail } from './thumbnail';

/** One row of the list. It reads signals, so it renders only when its own state changes. */
export function Row({ item }: { item: Item }): JSX.Element {
  const phase = item.phase.value;
  const { name } = item.description;
  return (
    <li class={`row ${phase.name}`} data-phase={phase.name}>
      <Thumbnail item={item} />
      <div class="row-name">
        <strong title={name}>{name}</strong>
        {phase.name === 'done' ? <Outcome item={item} phase={phase} /> : <Origin item={item} />}
      </div>
      {phase.name === 'done' ? <Links stored={phase.stored} name={name} /> : <PhaseWords phase={phase} />}
      <Actions item={item} phase={phase} />
      {(phase.name === 'hashing' || phase.name === 'sending') && <Bars item={item} phase={phase} />}
      {phase.name === 'failed' && <Reason phase={phase} />}
    </li>
  );
}

/** Size and folder of the file. */
function Origin({ item }: { item: Item }): JSX.Element {
  const { folder } = item.description;
  return (
    <span class="hint">
      {size(item.size)}
      {folder !== '' && <> · {folder}</>}
    </span>
  );
}

/** The result of a finished upload, in one line. */
function Outcome({ item, phase }: { item: Item; phase: Extract<Phase, { name: 'done' }> }): JSX.Element {
  return (
    <div class="row-outcome">
      <PhaseWords phase={phase} />
      <Origin item={item} />
      <code title={phase.stored.id}>{phase.stored.id}</code>
    </div>
  );
}

function PhaseWords({ phase }: { phase: Phase }): JSX.Element {
  const icons: Partial<Record<Phase['name'], IconName>> = { done: 'check', failed: 'warning', paused: 'pause' };
  const icon = icons[phase.name];
  return (
    <p class="row-phase">
      {icon && <Icon name={icon} />}
      {wordsOf(phase)}
    </p>
  );
}

function wordsOf(phase: Phase): string {
  const text = texts.value.phase;
  if (phase.name === 'done') return phase.stored.already ? text.already : text.done;
  if (phase.name !== 'waiting') return text[phase.name];
  if (phase.again === undefined) return text.needsKey;
  return phase.failure.problem === 'network' ? text.offline : `${explanation(phase.failure)} ${text.again}`;
}

function Reason({ phase: { failure } }: { phase: Extract<Phase, { name: 'failed' }> }): JSX.Element {
  return (
    <p class="row-reason">
      {explanation(failure)} {failure.detail && <small lang="en">{failure.detail}</small>}
    </p>
  );
}

function Bars({ item, phase }: { item: Item; phase: Phase }): JSX.Element {
  const text = texts.value.upload;
  const isHashing = phase.name === 'hashing';
  return (
    <div class="row-bars">
      {item.hashed.bytes.value > 0 && <Bar kind="hash" label={text.hashing} item={item} progress={item.hashed} />}
      {!isHashing && <Bar kind="send" label={text.sending} item={item} progress={item.sent} />}
    </div>
  );
}

interface BarProperties {
  kind: 'hash' | 'send';
  label: string;
  item: Item;
  progress: Progress;
}

function Bar({ kind, label, item, progress }: BarProperties): JSX.Element {
  const bytes = progress.bytes.value;
  const speed = progress.speed.value;
  const all = Math.max(item.size, 1);
  return (
    <div class="row-bar">
      <span>{label}</span>
      <progress class={kind} aria-label={texts.value.upload.of(label, item.description.name)} max={all} value={bytes} />
      <span class="figures hint">
        {percent(Math.floor((bytes / all) * 1000) / 1000)}
        {speed > 0 && bytes < item.size && (
          <>
            {' · '}
            {byteRate(speed)}
            {' · '}
            {texts.value.upload.left(duration((item.size - bytes) / speed))}
          </>
        )}
      </span>
    </div>
  );
}

function Links({ stored, name }: { stored: Stored; name: string }): JSX.Element {
  const text = texts.value;
  return (
    <div class="row-links">
      <CopyButton text={stored.id} label={text.copy.id} of={name} />
      <CopyButton text={() => addressToCopy(stored)} label={text.copy.url} of={name} />
      <a class="button small" href={fileRoute(stored.id)} aria-label={text.upload.of(text.upload.details, name)}>
        {text.upload.details}
      </a>
    </div>
  );
}

/** How long a copied link to a private file is valid, in seconds. */
const COPIED_SECONDS = 86_400;

/** The address of a stored file; a link that ends, if the file is private and the key may make one. */
async function addressToCopy({ id, url }: Stored): Promise<string> {
  await loadGroups();
  return needsLink(id) ? signedAddressOf(id, COPIED_SECONDS).catch(() => url) : url;
}

function Actions({ item, phase }: { item: Item; phase: Phase }): JSX.Element {
  const text = texts.value.upload;
  const canPause = item.isActive;
  const isOver = ['done', 'failed', 'interrupted'].includes(phase.name);
  return (
    <div class="row-actions">
      {canPause && <Action icon="pause" label={text.pause} item={item} act={() => pause(item)} />}
      {phase.name === 'paused' && <Action icon="play" label={text.resume} item={item} act={() => start(item)} />}
      {phase.name === 'failed' && <Action icon="retry" label={text.retry} item={item} act={() => start(item)} />}
      {isOver ? (
        <Action
          icon="unlist"
          label={phase.name === 'done' ? text.removeDone : text.removeRow}
          item={item}
          act={() => remove([item])}
        />
      ) : (
        <Action icon="cross" label={text.cancel} item={item} act={() => remove([item])} />
      )}
    </div>
  );
}

function Action(properties: { icon: IconName; label: string; item: Item; act: () => void }): JSX.Element {
  const { icon, label, item, act } = properties;
  return (
    <button
      type="button"
      class="round"
      title={label}
      aria-label={texts.value.upload.of(label, item.description.name)}
      onClick={act}
    >
      <Icon name={icon} />
    </button>
  );
}
