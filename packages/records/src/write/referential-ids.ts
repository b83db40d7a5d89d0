/**
 * Referential ids while documents are prepared, each with a number, its slot: what many documents refer to is hashed once, and what is
 * done with ids thousands of times (what is wanted, what is resolved, what is locked) is done with small numbers.
 */
import type { ResourceName } from '../derive/model.ts';
import { referentialIdOf } from '../identity/referential-id.ts';

/** An element of an identity, by either of the names that the model has for its path. */
type ElementPath = { readonly path: string } | { readonly identityPath: string };

const pathOf = (element: ElementPath | undefined): string =>
  element === undefined ? '' : 'path' in element ? element.path : element.identityPath;

export class ReferentialIds {
  private readonly ids: string[] = [];
  /** By the name of the resource: the one object that plans have for it (`OneName`). */
  private readonly byName = new Map<ResourceName, Map<string, number>>();

  /** Slots given so far: they count from 0. */
  get size(): number {
    return this.ids.length;
  }

  idOf(slot: number): string {
    return this.ids[slot] ?? '';
  }

  /** The slot of an identity: the texts of its elements, in the order of the identity. */
  slotOf(name: ResourceName, elements: readonly ElementPath[], texts: readonly string[]): number {
    const [element] = elements;
    const [text] = texts;
    if (element !== undefined && text !== undefined && texts.length === 1) return this.slotOfOne(name, element, text);
    const slots = this.slotsOf(name);
    const key = texts.map((part, at) => `${pathOf(elements[at])}=${part}`).join('#');
    return slots.get(key) ?? this.add(name, slots, key, key);
  }

  /** The same of one element: told apart by its text, which as a rule has been looked for before. */
  slotOfOne(name: ResourceName, element: ElementPath, text: string): number {
    const slots = this.slotsOf(name);
    return slots.get(text) ?? this.add(name, slots, text, `${pathOf(element)}=${text}`);
  }

  /** The slot of a descriptor, by its uri. */
  descriptor(name: ResourceName, uri: string): number {
    const slots = this.slotsOf(name);
    const key = uri.toLowerCase();
    return slots.get(key) ?? this.add(name, slots, key, `$.descriptor=${key}`);
  }

  private add(name: ResourceName, slots: Map<string, number>, key: string, identity: string): number {
    const slot = this.ids.length;
    this.ids.push(referentialIdOf(name, identity));
    slots.set(key, slot);
    return slot;
  }

  private slotsOf(name: ResourceName): Map<string, number> {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const slots = new Map<string, number>();
    this.byName.set(name, slots);
    return slots;
  }
}
