/**
 * Who is served next. A lane is (queue, fairness key); the book holds the lanes that are known to have work.
 *
 * - A plan shares what may be received evenly among the keys with work, and a key's share evenly among its lanes. When there
 *   are more keys than places, the keys take turns.
 * - The book is a memory of what was seen, never the truth: a lane that gave less than its share is forgotten and found again
 *   by the next look at the tables.
 * - `floor` of a lane is the time of visibility up to which it was read. Receiving from there spares the scan the index
 *   entries of messages that are gone. A message that was committed late lies below it and is found when the lane is next
 *   looked at as a whole.
 */
export interface Lane {
  readonly queue: string;
  readonly queueId: number;
  readonly key: number;
  /** As PostgreSQL writes it: JavaScript's dates lose the microseconds. */
  floor: string;
}

export interface PlannedLane {
  readonly lane: Lane;
  readonly share: number;
}

const mostRemembered = 10_000;

const laneId = (queueId: number, key: number): string => `${queueId}:${key}`;

export class LaneBook {
  readonly #lanes = new Map<string, Lane>();
  /** When each key was last served, in the order of serving. */
  readonly #servedAt = new Map<number, number>();
  #tick = 0;
  #lastKey = -1;

  get isEmpty(): boolean {
    return this.#lanes.size === 0;
  }

  /** The key after which the next look should begin, so that every lane is seen in turn. */
  get nextKey(): number {
    return this.#lastKey + 1;
  }

  /** Takes the lanes that a look at the tables found, in place of all that was known. */
  replace(found: readonly Lane[]): void {
    this.#lanes.clear();
    for (const lane of found) this.#lanes.set(laneId(lane.queueId, lane.key), lane);
  }

  forget(lane: Lane): void {
    this.#lanes.delete(laneId(lane.queueId, lane.key));
  }

  /** Up to `total` messages, of each queue no more than `free` allows. */
  plan(total: number, free: ReadonlyMap<string, number>): readonly PlannedLane[] {
    const byKey = new Map<number, Lane[]>();
    for (const lane of this.#lanes.values()) {
      if ((free.get(lane.queue) ?? 0) <= 0) continue;
      const lanes = byKey.get(lane.key);
      if (lanes === undefined) byKey.set(lane.key, [lane]);
      else lanes.push(lane);
    }
    // Who waited longest is first.
    const ordered = [...byKey.keys()].sort(
      (a, b) => (this.#servedAt.get(a) ?? 0) - (this.#servedAt.get(b) ?? 0) || a - b,
    );
    const left = new Map(free);
    const shares = new Map<Lane, number>();
    let places = total;
    // Dealt one by one, in rounds over the keys, so that no key takes the room of a queue before the others had their turn.
    let dealt = true;
    while (places > 0 && dealt) {
      dealt = false;
      for (const key of ordered) {
        if (places <= 0) break;
        const lanes = byKey.get(key) ?? [];
        const lane = lanes.find(({ queue }) => (left.get(queue) ?? 0) > 0);
        if (lane === undefined) continue;
        // The key's next place goes to another of its lanes.
        lanes.push(...lanes.splice(lanes.indexOf(lane), 1));
        shares.set(lane, (shares.get(lane) ?? 0) + 1);
        left.set(lane.queue, (left.get(lane.queue) ?? 0) - 1);
        places -= 1;
        dealt = true;
        this.#lastKey = key;
        this.#tick += 1;
        this.#servedAt.delete(key);
        this.#servedAt.set(key, this.#tick);
      }
    }
    // Only the order matters, and those served longest ago are first in it without a record too.
    for (const key of this.#servedAt.keys()) {
      if (this.#servedAt.size <= mostRemembered) break;
      this.#servedAt.delete(key);
    }
    const planned = [...shares].map(([lane, share]) => ({ lane, share }));
    return planned;
  }
}
