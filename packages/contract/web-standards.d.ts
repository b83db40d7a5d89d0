/**
 * The few web-standard globals that the contract names in types. Every engine it runs in has them (WHATWG DOM, section 3.2);
 * the libraries that declare them would bring in the rest of the DOM or of Node. Only the contract's own type check reads this.
 */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
}
