/** The people of the fictional dispute Meridian v. Halcyon. Every domain is reserved for examples (RFC 2606). */

export interface Person {
  readonly name: string;
  /** `Okafor, Dana`, as load files name custodians. */
  readonly sortName: string;
  readonly address: string;
  readonly login: string;
  readonly organization: string;
  readonly role: string;
}

const person = (first: string, last: string, domain: string, organization: string, role: string): Person => {
  const plain = (text: string): string =>
    text
      .replaceAll('ø', 'o')
      .normalize('NFD')
      .replaceAll(/[^A-Za-z]/gu, '')
      .toLowerCase();
  return {
    name: `${first} ${last}`,
    sortName: `${last}, ${first}`,
    address: `${plain(first)}.${plain(last)}@${domain}`,
    login: `${plain(first).slice(0, 1)}${plain(last)}`,
    organization,
    role,
  };
};

const meridian = (first: string, last: string, role: string): Person =>
  person(first, last, 'meridian-logistics.example', 'Meridian Logistics', role);
const halcyon = (first: string, last: string, role: string): Person =>
  person(first, last, 'halcyon-instruments.example', 'Halcyon Instruments', role);

/** Whose files were collected. */
export const custodians: readonly [Person, ...Person[]] = [
  meridian('Dana', 'Okafor', 'Head of Procurement'),
  meridian('José', 'Ibáñez', 'Fleet Engineer'),
  meridian('Priya', 'Raman', 'Quality Manager'),
  meridian('Thomas', 'Lindqvist', 'Chief Financial Officer'),
  meridian('Helen', "O'Rourke", 'General Counsel'),
  meridian('Marcus', 'Bell', 'Operations Director'),
  halcyon('Ingrid', 'Sørensen', 'Sales Director'),
  halcyon('Victor', 'Amsel', 'Production Manager'),
  halcyon('Yuki', 'Tanabe', 'Test Engineer'),
  halcyon('Claire', 'Dubois', 'Account Manager'),
  halcyon('Rafael', 'Montoya', 'Chief Executive'),
  halcyon('Amira', 'Haddad', 'Controller'),
];

/** People who write and receive, but whose files were not collected. */
const others: readonly Person[] = [
  meridian('Luca', 'Ferrari', 'Buyer'),
  meridian('Grace', 'Nakamura', 'Warehouse Lead'),
  halcyon('Björn', 'Åkesson', 'Calibration Technician'),
  halcyon('Nadia', 'Petrov', 'Shipping Clerk'),
  person('Eleanor', 'Whitcombe', 'whitcombe-rhys.example', 'Whitcombe Rhys LLP', 'Partner'),
  person('Samuel', 'Adeyemi', 'carrow-stone.example', 'Carrow Stone LLP', 'Associate'),
  person('Petra', 'Novak', 'norvane-testing.example', 'Norvane Testing GmbH', 'Laboratory Head'),
];

/** Lawyers: what they write or receive may be privileged. */
const lawFirms: ReadonlySet<string> = new Set(['Whitcombe Rhys LLP', 'Carrow Stone LLP']);

export const isCounsel = ({ organization, role }: Person): boolean =>
  lawFirms.has(organization) || role === 'General Counsel';

export const everybody: readonly [Person, ...Person[]] = [...custodians, ...others];

/** `Dana Okafor <dana.okafor@meridian-logistics.example>`, as load files show addresses. */
export const showAddress = ({ name, address }: Person): string => `${name} <${address}>`;
