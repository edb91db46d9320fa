/** A selected file, and its folder relative to the selection (empty for a file selected by itself). */
export interface Chosen {
  file: File;
  folder: string;
}

/** Returns the files of an `<input type="file">`, with or without folders. */
export function fromInput(files: FileList): Chosen[] {
  return Array.from(files, (file) => ({ file, folder: file.webkitRelativePath.split('/').slice(0, -1).join('/') }));
}

/** Yields dropped files, including those in folders, in batches; calls `unreadable` for each entry that cannot be read. */
export function fromDrop(data: DataTransfer, unreadable: () => void): AsyncGenerator<Chosen[]> {
  // Before the first await, because the browser clears the list afterwards.
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
      // Returns at most 100 entries per call, none at the end.
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

/** Returns pictures from the clipboard under unique names; browsers call all of them image.png. */
export function fromPaste(data: DataTransfer): Chosen[] {
  return Array.from(data.files, (file) => {
    const isNameless = /^image\.\w+$/.test(file.name);
    const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
    const name = isNameless ? file.name.replace('image', `pasted-${time}`) : file.name;
    return { file: new File([file], name, { type: file.type, lastModified: file.lastModified }), folder: '' };
  });
}
