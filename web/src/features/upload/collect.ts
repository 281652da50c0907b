/** Finds the files in what was dropped; folders are walked. */

export type Dropped = FileSystemEntry | File;

/**
 * Must be called inside the drop event: the browser empties the list when the event is over. What has no entry (a
 * picture dragged out of another program) is taken as the file it is.
 */
export function droppedItems(transfer: DataTransfer): Dropped[] {
  return [...transfer.items]
    .map((item) => (item.kind === "file" ? (item.webkitGetAsEntry() ?? item.getAsFile()) : null))
    .filter((dropped) => dropped !== null);
}

export async function* walk(items: Dropped[]): AsyncGenerator<File> {
  for (const item of items) {
    if (item instanceof File) {
      yield item;
    } else if (item.isFile) {
      yield await new Promise<File>((resolve, reject) => (item as FileSystemFileEntry).file(resolve, reject));
    } else if (item.isDirectory) {
      const reader = (item as FileSystemDirectoryEntry).createReader();
      // A reader gives its entries in portions; an empty one is the last.
      for (;;) {
        const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
        if (portion.length === 0) break;
        yield* walk(portion);
      }
    }
  }
}
