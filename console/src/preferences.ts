import { effect, signal } from '@preact/signals';

/** A preference stored in localStorage. */
function kept<T extends string>(name: string, choices: readonly T[], first: T) {
  const stored = localStorage.getItem(name);
  const choice = signal<T>(choices.find((one) => one === stored) ?? first);
  effect(() => localStorage.setItem(name, choice.value));
  return choice;
}

export const THEMES = ['system', 'light', 'dark'] as const;
export const theme = kept('fidfs-theme', THEMES, 'system');

const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
const darkSystem = signal(systemIsDark.matches);
systemIsDark.addEventListener('change', ({ matches }) => {
  darkSystem.value = matches;
});
effect(() => {
  const isDark = theme.value === 'dark' || (theme.value === 'system' && darkSystem.value);
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
});

export const LANGUAGES = ['en', 'zh-CN'] as const;
export type Language = (typeof LANGUAGES)[number];

function browserLanguage(): Language {
  const known = navigator.languages.map((one) => one.slice(0, 2).toLowerCase()).find((one) => /^(?:en|zh)$/.test(one));
  return known === 'zh' ? 'zh-CN' : 'en';
}

export const language = kept<Language>('fidfs-language', LANGUAGES, browserLanguage());
effect(() => {
  document.documentElement.lang = language.value;
});
