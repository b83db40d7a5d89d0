/** Which methods an address has, for requests that match no route: is it another address, or another method? */
import type { OperationMap, Permission } from '@casebound/contract';

export interface Route {
  readonly method: string;
  readonly permission: Permission | 'authenticated';
}

export interface RouteTable {
  /** The routes of the address; empty when there is none. */
  at(path: string): readonly Route[];
}

/** Everything that is served beside operations; any account may read it, from a browser too. */
export const documentPaths = ['/docs', '/openapi.json'] as const;

const patternOf = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll('.', String.raw`\.`).replaceAll(/\{[^}]*\}/g, '[^/]+')}$`);

export const createRouteTable = (operations: OperationMap): RouteTable => {
  const routes = [
    ...documentPaths.map((path) => ({ path, method: 'GET', permission: 'authenticated' as const })),
    ...Object.values(operations),
  ].map(({ path, method, permission }) => ({ pattern: patternOf(path), method, permission }));
  return {
    at: (path) =>
      routes
        .filter(({ pattern }) => pattern.test(path))
        .flatMap(({ method, permission }) =>
          method === 'GET'
            ? [
                { method, permission },
                { method: 'HEAD', permission },
              ]
            : [{ method, permission }],
        ),
  };
};
