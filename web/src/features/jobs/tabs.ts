export const TABS: [path: string, title: string][] = [
  ["/jobs", "Jobs"],
  ["/jobs/commitments", "Commitments"],
];
