export const TABS: [path: string, title: string][] = [
  ["/forwarding", "Destinations"],
  ["/forwarding/studies", "Studies"],
  ["/forwarding/rules", "Rules"],
  ["/forwarding/prefetch", "Prefetch"],
];
