import { computed } from '@preact/signals';
import { type Language, language } from '../preferences';
import { en, type Texts } from './en';
import { zh } from './zh';

const CATALOGUES: Record<Language, Texts> = { en, 'zh-CN': zh };

/** The texts in the selected language; a signal, so that components render again when it changes. */
export const texts = computed(() => CATALOGUES[language.value]);
