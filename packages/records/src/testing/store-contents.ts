/** What a store holds, in words that do not depend on its ids. */
import { listDocuments } from '../read/read-documents.ts';
import type { StoreContext } from '../store-context.ts';

/** Every document of a store by endpoint, without ids, etags and times. */
export const storeContents = async (store: StoreContext): Promise<Record<string, string[]>> => {
  const all: Record<string, string[]> = {};
  for (const resource of store.model.resources.values()) {
    const bodies: string[] = [];
    for (let offset = 0; ; offset += 500) {
      const page = await listDocuments(store, resource, { limit: 500, offset });
      bodies.push(...page.bodies);
      if (page.bodies.length < 500) break;
    }
    all[resource.endpoint] = bodies
      .map((body) => {
        const { id: _id, _etag: _e, _lastModifiedDate: _m, ...members } = JSON.parse(body) as Record<string, unknown>;
        return JSON.stringify(members);
      })
      .sort();
  }
  return all;
};
