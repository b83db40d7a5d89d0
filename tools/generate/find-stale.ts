/** Which artefacts are not what their code says. */
import type { Artefact } from './artefacts.ts';

export interface StaleArtefact {
  readonly path: string;
  /** What it should be. */
  readonly text: string;
}

/** `read` gives the committed file, or `undefined` when there is none. Line ends do not count. */
export const findStale = async (
  artefacts: readonly Artefact[],
  read: (path: string) => Promise<string | undefined>,
): Promise<StaleArtefact[]> => {
  const stale: StaleArtefact[] = [];
  for (const { path, render } of artefacts) {
    const text = await render();
    const committed = await read(path);
    if (committed?.replaceAll('\r\n', '\n') !== text) stale.push({ path, text });
  }
  return stale;
};
