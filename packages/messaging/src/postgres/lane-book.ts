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

const laneId = (queueId: number, key: number): string => `${queueId}:${key}`;

export class LaneBook {
  readonly #lanes = new Map<string, Lane>();
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
    const keys = [...byKey.keys()].sort((a, b) => a - b);
    const turn = keys.findIndex((key) => key > this.#lastKey);
    const ordered = turn <= 0 ? keys : [...keys.slice(turn), ...keys.slice(0, turn)];
    const served = ordered.slice(0, total);
    const left = new Map(free);
    const planned: PlannedLane[] = [];
    let places = total;
    for (const [index, key] of served.entries()) {
      let quota = Math.ceil(places / (served.length - index));
      places -= quota;
      const lanes = byKey.get(key) ?? [];
      for (const [at, lane] of lanes.entries()) {
        const share = Math.min(Math.ceil(quota / (lanes.length - at)), left.get(lane.queue) ?? 0);
        if (share <= 0) continue;
        planned.push({ lane, share });
        quota -= share;
        left.set(lane.queue, (left.get(lane.queue) ?? 0) - share);
      }
      places += quota;
      this.#lastKey = key;
    }
    return planned;
  }
}
