/** A file that somebody chose, and the folder that it lay in within what was chosen (empty for none). */
export interface Chosen {
  file: File;
  folder: string;
}

/** Files of an `<input type="file">`, with or without folders. */
export function fromInput(files: FileList): Chosen[] {
  return Array.from(files, (file) => ({ file, folder: file.webkitRelativePath.split('/').slice(0, -1).join('/') }));
}

/** What was dropped, folders and all, piece by piece; `unreadable` is called for what cannot be read. */
export function fromDrop(data: DataTransfer, unreadable: () => void): AsyncGenerator<Chosen[]> {
  // Before the first await: afterwards the browser has taken them away.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return walk(entries, '', unreadable);
}

async function* walk(
  entries: readonly FileSystemEntry[],
  folder: string,
  unreadable: () => void,
): AsyncGenerator<Chosen[]> {
  const files: Chosen[] = [];
  for (const entry of entries.filter(isFile)) {
    const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject)).catch(unreadable);
    if (file) files.push({ file, folder });
  }
  if (files.length > 0) yield files;
  for (const entry of entries.filter(isDirectory)) {
    const inside = folder === '' ? entry.name : `${folder}/${entry.name}`;
    const reader = entry.createReader();
    for (;;) {
      // At most a hundred at a time, none at the end.
      const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
        reader.readEntries(resolve, reject);
      }).catch(unreadable);
      if (!some || some.length === 0) break;
      yield* walk(some, inside, unreadable);
    }
  }
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

/** Pictures from the clipboard, which browsers all call image.png, under a name that tells them apart. */
export function fromPaste(data: DataTransfer): Chosen[] {
  return Array.from(data.files, (file) => {
    const isNameless = /^image\.\w+$/.test(file.name);
    const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
    const name = isNameless ? file.name.replace('image', `pasted-${time}`) : file.name;
    return { file: new File([file], name, { type: file.type, lastModified: file.lastModified }), folder: '' };
  });
}
