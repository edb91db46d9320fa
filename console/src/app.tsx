import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { texts } from './i18n';
import { asking, key } from './key';
import { type Language, language, THEMES, theme } from './preferences';
import { route } from './route';
import { Announcer } from './ui/announce';
import { Icon, type IconName } from './ui/icons';
import { KeyDialog } from './ui/key-dialog';
import { ClusterView } from './views/cluster';
import { FileView } from './views/file';
import { FilesView } from './views/files';
import { scrolledTo } from './views/files/scrolled';
import { UploadView } from './views/upload';

/** The name of each language in that language. */
const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', 'zh-CN': '中文' };

export function App(): JSX.Element {
  const { view } = route.value;
  const title = texts.value[view].title;
  useEffect(() => {
    document.title = `${title} · fidfs`;
  }, [title]);
  useEffect(() => window.scrollTo(0, view === 'files' ? scrolledTo.peek() : 0), [view]);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.querySelector('main')?.focus()}>
        {texts.value.skip}
      </button>
      <Header view={view} />
      <main tabIndex={-1}>
        <CurrentView />
      </main>
      <KeyDialog />
      <Announcer />
    </>
  );
}

function CurrentView(): JSX.Element {
  const current = route.value;
  if (current.view === 'cluster') return <ClusterView />;
  if (current.view === 'files') return <FilesView />;
  if (current.view === 'file') return <FileView key={current.id} id={current.id} />;
  return <UploadView />;
}

function Header({ view }: { view: string }): JSX.Element {
  const text = texts.value;
  const links: [name: 'upload' | 'files' | 'file' | 'cluster', address: string, icon: IconName][] = [
    ['upload', '#/', 'upload'],
    ['files', '#/files', 'grid'],
    ['file', '#/file', 'file'],
    ['cluster', '#/cluster', 'cluster'],
  ];
  return (
    <header>
      <div class="bar">
        <a class="brand" href="#/">
          <span class="mark" aria-hidden="true" />
          fidfs
        </a>
        <nav aria-label={text.nav.label}>
          {links.map(([name, address, icon]) => (
            <a key={name} href={address} aria-current={view === name ? 'page' : undefined}>
              <Icon name={icon} />
              {text.nav[name]}
            </a>
          ))}
        </nav>
        <div class="controls">
          <button
            type="button"
            class={key.value === undefined ? 'chip missing' : 'chip'}
            onClick={() => {
              asking.value = true;
            }}
          >
            <Icon name={key.value === undefined ? 'key' : 'check'} />
            {key.value === undefined ? text.key.missing : text.key.set}
          </button>
          <Choice
            icon="globe"
            label={text.language}
            value={language.value}
            choices={Object.entries(LANGUAGE_NAMES)}
            choose={(value) => {
              language.value = value as Language;
            }}
          />
          <Choice
            icon="theme"
            label={text.theme.label}
            value={theme.value}
            choices={THEMES.map((one) => [one, text.theme[one]])}
            choose={(value) => {
              theme.value = value as (typeof THEMES)[number];
            }}
          />
        </div>
      </div>
    </header>
  );
}

interface ChoiceProperties {
  icon: IconName;
  label: string;
  value: string;
  choices: [value: string, name: string][];
  choose: (value: string) => void;
}

function Choice({ icon, label, value, choices, choose }: ChoiceProperties): JSX.Element {
  return (
    <label class="choice">
      <Icon name={icon} />
      <span class="unseen">{label}</span>
      <select value={value} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        {choices.map(([one, name]) => (
          <option key={one} value={one} selected={one === value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
