/** Places of files: `VOL001/NATIVES/001/MH00000001.eml`, at most 1,000 files a folder. */
import { VOLUME } from '../load-columns.ts';

type Part = 'NATIVES' | 'TEXT' | 'IMAGES' | 'ANNOTATIONS' | 'MAIL';

const FILES_A_FOLDER = 1000;

export class VolumePaths {
  readonly #counts = new Map<Part, number>();

  /** The place of the next file of a part, with slashes. */
  next(part: Part, name: string): string {
    const count = this.#counts.get(part) ?? 0;
    this.#counts.set(part, count + 1);
    const folder = String(Math.floor(count / FILES_A_FOLDER) + 1).padStart(3, '0');
    return part === 'MAIL' ? `mail/${folder}/${name}` : `${VOLUME}/${part}/${folder}/${name}`;
  }

  /** As load files write it. */
  shown(place: string): string {
    return place.replaceAll('/', '\\');
  }
}
