import { expect, test } from "vitest";
import { NEW_REMOTE, fromForm, toForm, usesInWords } from "./remote";

test("what is kept comes back from the form as it was", () => {
  const kept = fromForm({
    ...NEW_REMOTE,
    aeTitle: "CT1",
    host: "10.1.0.7",
    usesTls: true,
    certificate: "AB:CD 12",
    transferSyntaxes: ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"],
    site: "North",
  });
  expect(kept.certificate).toBe("abcd12");
  expect(kept.transfer_syntaxes).toEqual(["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]);
  expect(fromForm(toForm(kept))).toEqual(kept);
});

test("who has no address has no port", () => {
  expect(fromForm({ ...NEW_REMOTE, aeTitle: "US1", host: " ", network: "10.1.2.0/24" })).toMatchObject({
    host: null,
    port: null,
    network: "10.1.2.0/24",
  });
});

test("a fingerprint counts with TLS alone", () => {
  expect(fromForm({ ...NEW_REMOTE, certificate: "abcd" }).certificate).toBeNull();
});

test("uses are told in the fewest words", () => {
  expect(usesInWords(NEW_REMOTE.mayAsk)).toBe("everything");
  expect(usesInWords(NEW_REMOTE.mayBeAsked)).toBe("all but availability, step notice");
  expect(usesInWords(["worklist", "echo"])).toBe("echo, worklist");
  expect(usesInWords([])).toBe("nothing");
});
