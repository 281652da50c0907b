import { expect, test } from "vitest";
import { type Commitment, commitmentState, failureInWords } from "./commitment";

const ASKED: Commitment = {
  id: 1,
  direction: "they-commit",
  transaction_uid: "1.2",
  remote: "ARCHIVE2",
  requested_at: "2026-01-05T08:00:00Z",
  sent_at: null,
  instance_count: 3,
  is_decided: false,
  committed_count: 0,
  failed_count: 0,
};
const HEARD = { sent_at: "2026-01-05T08:00:01Z" };

test.each<[Partial<Commitment>, string]>([
  [{}, "not heard of yet"],
  [HEARD, "answer awaited"],
  [{ ...HEARD, is_decided: true, committed_count: 3 }, "committed"],
  [{ ...HEARD, is_decided: true, committed_count: 2, failed_count: 1 }, "committed in part"],
  [{ ...HEARD, is_decided: true, failed_count: 3 }, "not committed"],
  [{ direction: "we-commit" }, "being looked into"],
  [{ direction: "we-commit", is_decided: true, committed_count: 3 }, "answer not delivered yet"],
  [{ direction: "we-commit", is_decided: true, committed_count: 3, ...HEARD }, "committed"],
])("%j is %s", (part, title) => {
  expect(commitmentState({ ...ASKED, ...part }).title).toBe(title);
});

test("reasons are told in words and by their code", () => {
  expect([failureInWords(0x0112), failureInWords(0xa700)]).toEqual(["no such instance (0112)", "A700"]);
});
