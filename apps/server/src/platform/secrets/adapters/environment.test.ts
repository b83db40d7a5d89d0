import { describe, expect, it } from 'vitest';
import { testSecretStore } from '../conformance.ts';
import { EnvironmentSecretStore, secretVariable } from './environment.ts';

testSecretStore(
  'secrets in the environment',
  async () => {
    const environment: Record<string, string | undefined> = {};
    return {
      store: new EnvironmentSecretStore(environment),
      put: async (name, text) => {
        environment[secretVariable(name)] = text;
      },
      remove: async (name) => {
        delete environment[secretVariable(name)];
      },
      failures: {},
      close: async () => undefined,
    };
  },
  [],
);

describe('EnvironmentSecretStore', () => {
  it('names the variable in capitals and underscores', () => {
    expect(secretVariable('team/db.url-2')).toBe('CASEBOUND_SECRET_TEAM_DB_URL_2');
  });

  it('takes a variable that is set to nothing as not set', async () => {
    expect(await new EnvironmentSecretStore({ CASEBOUND_SECRET_A: '' }).read('a')).toBeUndefined();
  });
});
