export const TABS: [path: string, title: string][] = [
  ["/jobs", "Queue"],
  ["/jobs/commitments", "Commitments"],
];
