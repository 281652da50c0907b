import { describe, expect, test } from "vitest";
import { ApiError } from "../../api/http";
import type { Dataset } from "../../dicom/json";
import { type SendBatch, UploadQueue, type UploadStatus } from "./queue";

function dicomFile(uid: string, size = 400): File {
  const bytes = new Uint8Array(Math.max(size, 200));
  bytes.set([68, 73, 67, 77, 2, 0, 3, 0, 85, 73, uid.length, 0, ...[...uid].map((letter) => letter.charCodeAt(0))], 128);
  return new File([bytes], `${uid}.dcm`);
}

function answer(stored: string[], refused: string[] = []): Dataset {
  const named = (uid: string) => ({ "00081155": { vr: "UI", Value: [uid] } });
  return {
    "00081199": { vr: "SQ", Value: stored.map(named) },
    "00081198": { vr: "SQ", Value: refused.map((uid) => ({ ...named(uid), "00081197": { vr: "US", Value: [0x0122] } })) },
  };
}

async function uidOf(file: Blob): Promise<string> {
  return ((file as File).name ?? "").replace(".dcm", "");
}

const storeAll: SendBatch = async (batch) => answer(await Promise.all(batch.map(uidOf)));

async function finished(queue: UploadQueue): Promise<UploadStatus> {
  for (;;) {
    await new Promise((resolve) => queue.subscribe(() => resolve(undefined)));
    if (!queue.getStatus().isActive) return queue.getStatus();
  }
}

describe("the upload", () => {
  test("stores every file, at most three batches at a time", async () => {
    let running = 0;
    let most = 0;
    const sizes: number[] = [];
    const queue = new UploadQueue(async (batch, progress, signal) => {
      most = Math.max(most, ++running);
      sizes.push(batch.length);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      return storeAll(batch, progress, signal);
    });
    void queue.add(Array.from({ length: 230 }, (_, index) => dicomFile(`1.2.${100 + index}`)));
    const status = await finished(queue);
    expect(status.counts).toMatchObject({ stored: 230, waiting: 0, sending: 0, failed: 0 });
    expect(status.sentBytes).toBe(status.sizeBytes);
    expect(most).toBe(3);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(25);
  });

  test("leaves out what is no DICOM file and says so", async () => {
    const queue = new UploadQueue(storeAll);
    void queue.add([new File(["hello"], "readme.txt"), dicomFile("1.2.333")]);
    const status = await finished(queue);
    expect(status.counts).toMatchObject({ stored: 1, skipped: 1 });
    expect(status.files[0]?.reason).toBe("Not a DICOM file");
  });

  test("tells why a file was refused, and only of that file", async () => {
    const queue = new UploadQueue(async (batch) => (batch.length > 1 ? answer(["1.2.333"], ["1.2.334"]) : answer([])));
    void queue.add([dicomFile("1.2.333"), dicomFile("1.2.334"), dicomFile("1.2.335")]);
    const status = await finished(queue);
    expect(status.files.map((file) => file.state)).toEqual(["stored", "refused", "failed"]);
    expect(status.files[1]?.reason).toBe("Its SOP class is not accepted");
  });

  test("sends files alone whose verdict is in doubt", async () => {
    const sizes: number[] = [];
    const queue = new UploadQueue(async (batch) => {
      sizes.push(batch.length);
      const uids = await Promise.all(batch.map(uidOf));
      // The data sets of these files carry other UIDs than their file meta information.
      return answer(
        uids.filter((uid) => uid !== "1.2.334").map((uid) => `${uid}.9`),
        uids.filter((uid) => uid === "1.2.334"),
      );
    });
    void queue.add([dicomFile("1.2.333"), dicomFile("1.2.334"), dicomFile("1.2.335")]);
    expect((await finished(queue)).files.map((file) => file.state)).toEqual(["stored", "refused", "stored"]);
    expect(sizes).toEqual([3]);

    const mixed = new UploadQueue(async (batch) => {
      const uids = await Promise.all(batch.map(uidOf));
      return answer(["1.2.333.9"].filter(() => uids.includes("1.2.333")), ["1.2.334.9"].filter(() => uids.includes("1.2.334")));
    });
    void mixed.add([dicomFile("1.2.333"), dicomFile("1.2.334")]);
    const status = await finished(mixed);
    expect(status.files.map((file) => file.state)).toEqual(["stored", "refused"]);
    expect(status.sentBytes).toBe(status.sizeBytes);
  });

  test("tries again when the server is busy, not when it says no", async () => {
    const statuses = [503, 0, 403];
    let calls = 0;
    const queue = new UploadQueue(async () => {
      throw new ApiError(statuses[calls++] ?? 500, "not now");
    }, 1);
    void queue.add([dicomFile("1.2.333")]);
    const status = await finished(queue);
    expect(calls).toBe(3);
    expect(status.files[0]).toMatchObject({ state: "failed", reason: "not now", sent: 0 });
  });

  test("can be cancelled, and used again afterwards", async () => {
    const queue = new UploadQueue((batch, progress, signal) =>
      signal.aborted || batch.length > 1
        ? new Promise((_, reject) => signal.addEventListener("abort", () => reject(new DOMException("", "AbortError"))))
        : storeAll(batch, progress, signal),
    );
    await queue.add(Array.from({ length: 200 }, (_, index) => dicomFile(`1.2.${100 + index}`)));
    queue.cancel();
    expect((await finished(queue)).counts).toMatchObject({ failed: 200, waiting: 0, sending: 0 });
    queue.clear();
    await queue.add([dicomFile("1.2.999")]);
    expect((await finished(queue)).counts).toMatchObject({ stored: 1, failed: 0 });
  });
});
