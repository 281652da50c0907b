/** Finds the files in what was dropped or chosen; folders are walked. */

/** Must be called inside the drop event: the browser empties the list when the event is over. */
export function droppedEntries(transfer: DataTransfer): FileSystemEntry[] {
  return [...transfer.items]
    .map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null))
    .filter((entry) => entry !== null);
}

export async function* walk(entries: FileSystemEntry[]): AsyncGenerator<File> {
  for (const entry of entries) {
    if (entry.isFile) {
      yield await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    } else if (entry.isDirectory) {
      const reader = (entry as FileSystemDirectoryEntry).createReader();
      // A reader gives its entries in portions; an empty one is the last.
      for (;;) {
        const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
        if (portion.length === 0) break;
        yield* walk(portion);
      }
    }
  }
}
