import { effect } from '@preact/signals';
import { count } from '../../format';
import { texts } from '../../i18n';
import { announce } from '../../ui/announce';
import { type Chosen, fromDrop, fromPaste } from '../../upload/chosen';
import { add, listTotals } from '../../upload/queue';

/** Adds selected files to the list, and shows the view of uploads. */
export async function take(chosen: readonly Chosen[]): Promise<void> {
  location.hash = '#/';
  const passed = await add(chosen);
  if (passed > 0) announce(texts.peek().upload.passed(count(passed)));
}

async function takeDropped(data: DataTransfer): Promise<void> {
  let unreadable = 0;
  const pieces = fromDrop(data, () => {
    unreadable++;
  });
  for await (const chosen of pieces) await take(chosen);
  if (unreadable > 0) announce(texts.peek().upload.unreadable(count(unreadable)));
}

/** Listens on the document: files dropped or pasted anywhere on the page are added. */
function listen<E extends Event>(type: string, listener: (event: E) => void): void {
  document.addEventListener(type, listener as EventListener);
}

function showDropping(is: boolean): void {
  document.documentElement.classList.toggle('dropping', is);
}

listen<DragEvent>('dragover', (event) => {
  event.preventDefault();
  showDropping(event.dataTransfer?.types.includes('Files') ?? false);
});
listen<DragEvent>('dragleave', ({ relatedTarget }) => {
  if (relatedTarget === null) showDropping(false);
});
listen<DragEvent>('drop', (event) => {
  event.preventDefault();
  showDropping(false);
  if (event.dataTransfer) void takeDropped(event.dataTransfer);
});
listen<ClipboardEvent>('paste', (event) => {
  const chosen = event.clipboardData ? fromPaste(event.clipboardData) : [];
  if (chosen.length === 0) return;
  event.preventDefault();
  void take(chosen);
});

/** Announces the result when the last active upload has ended. */
let wasActive = false;
effect(() => {
  const { active, done, failed, files } = listTotals.value;
  if (wasActive && active === 0 && files > 0) {
    const text = texts.peek().upload;
    announce(`${text.done(count(done), count(files))}. ${failed > 0 ? text.failed(count(failed)) : ''}`);
  }
  wasActive = active > 0;
});
