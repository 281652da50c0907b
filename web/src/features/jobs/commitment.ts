/** Storage commitment in words. */
import type { Schemas } from "../../api/console";
import type { Tone } from "../../ui/page";

export type Commitment = Schemas["CommitmentEntry"];

export const DIRECTIONS: Record<Schemas["CommitmentDirection"], string> = {
  "we-commit": "it asked us",
  "they-commit": "we asked it",
};

/** PS3.3 C.14.1.1: why nobody answers for an instance. */
const FAILURES: Record<number, string> = {
  0x0110: "processing failure",
  0x0112: "no such instance",
  0x0119: "of another SOP class",
  0x0122: "SOP class not supported",
  0x0131: "transaction UID in use",
  0x0213: "lack of resources",
};

export function failureInWords(reason: number): string {
  const code = reason.toString(16).toUpperCase().padStart(4, "0");
  return FAILURES[reason] ? `${FAILURES[reason]} (${code})` : code;
}

/** How a transaction stands: what is decided, and whether the other side has heard of it. */
export function commitmentState(commitment: Commitment): { title: string; tone: Tone } {
  const { direction, is_decided: isDecided, failed_count: failed, sent_at: sentAt } = commitment;
  if (!isDecided) {
    if (direction === "we-commit") return { title: "being looked into", tone: "busy" };
    return sentAt ? { title: "answer awaited", tone: "busy" } : { title: "not heard of yet", tone: "warning" };
  }
  if (direction === "we-commit" && !sentAt) return { title: "answer not delivered yet", tone: "warning" };
  if (failed === 0) return { title: "committed", tone: "good" };
  return { title: failed === commitment.instance_count ? "not committed" : "committed in part", tone: "bad" };
}
