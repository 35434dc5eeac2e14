// Files from drops and folder choosers, with the names of their folders.
import type { NamedFile } from '../api/upload';
import type { Format } from '../api/types';

/** The files of a file input; one that chose a folder gives paths. */
export function fromInput(list: FileList): NamedFile[] {
  return [...list].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}

/** The files of a drop, folders included. Must be called inside the event's handler, before any await. */
export async function fromDrop(transfer: DataTransfer): Promise<NamedFile[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null).filter((entry) => entry !== null);
  if (entries.length === 0) return fromInput(transfer.files);
  const nested = await Promise.all(entries.map((entry) => fromEntry(entry)));
  return nested.flat();
}

async function fromEntry(entry: FileSystemEntry): Promise<NamedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, name: entry.fullPath.replace(/^\//, '') }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: FileSystemEntry[] = [];
  // A reader hands out a hundred entries at a time and an empty list at the end.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    found.push(...some);
  }
  const nested = await Promise.all(found.map((child) => fromEntry(child)));
  return nested.flat();
}

/**
 * Parts what a folder brought along: hidden files are left out in silence, unreadable formats are named.
 * Files chosen one by one are all sent; the server says what is wrong with them and what to do.
 */
export function sift(files: NamedFile[], formats: Format[]): { send: NamedFile[]; skipped: string[] } {
  const known = new Set(formats.flatMap((format) => format.extensions.map((extension) => extension.toLowerCase())));
  const send: NamedFile[] = [];
  const skipped: string[] = [];
  for (const item of files) {
    const parts = item.name.split('/');
    if (parts.some((part) => part.startsWith('.')) && parts.length > 1) continue;
    const extension = parts.at(-1)?.split('.').at(-1)?.toLowerCase() ?? '';
    if (parts.length > 1 && known.size > 0 && !known.has(extension)) skipped.push(item.name);
    else send.push(item);
  }
  return { send, skipped };
}
