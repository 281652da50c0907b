import { expect, test } from "vitest";
import { failureText, readVerdicts, stowBody } from "./stow";

test("the body is multipart as the standard wants it", async () => {
  const { body, contentType } = stowBody([new Blob(["one"]), new Blob(["two!"])], "xx");
  const written = await body.text();
  expect(contentType).toBe('multipart/related; type="application/dicom"; boundary=xx');
  expect(written).toBe(
    "--xx\r\nContent-Type: application/dicom\r\n\r\none\r\n--xx\r\nContent-Type: application/dicom\r\n\r\ntwo!\r\n--xx--\r\n",
  );
});

test("each instance gets its own verdict", () => {
  const uid = (value: string) => ({ "00081155": { vr: "UI", Value: [value] } });
  const verdicts = readVerdicts({
    "00081199": { vr: "SQ", Value: [uid("1.1"), { ...uid("1.2"), "00081196": { vr: "US", Value: [0xb007] } }] },
    "00081198": { vr: "SQ", Value: [{ ...uid("1.3"), "00081197": { vr: "US", Value: [0xc001] } }] },
    "0008119A": {
      vr: "SQ",
      Value: [{ "00081197": { vr: "US", Value: [0xc000] }, "00000902": { vr: "LO", Value: ["SOPInstanceUID is missing"] } }],
    },
  });
  expect(verdicts).toEqual([
    { sopInstanceUid: "1.1", outcome: "stored", reason: "" },
    { sopInstanceUid: "1.2", outcome: "stored", reason: "Stored, though it does not match its SOP class" },
    { sopInstanceUid: "1.3", outcome: "refused", reason: "Damaged, or an identifier is missing" },
    { sopInstanceUid: "", outcome: "refused", reason: "SOPInstanceUID is missing" },
  ]);
});

test("an unknown reason is told by its code", () => {
  expect(failureText(0x0999)).toBe("Refused (0999)");
});
